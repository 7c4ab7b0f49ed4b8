"""The documents of a release: a manifest that cannot be edited, and figures that are queries on the ledger."""

import base64
import json
from collections import Counter
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.releases.documents import DOCUMENTS, canonical_json
from db.delivery.ledger import signing_key
from db.policy.document import default_policy
from tests.support.canaries import CANARY
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.releases import every_file, get_written, publish, rows_of, start, until_written

# What the files had when they were handed out, by what the database knows of each item.
LEDGER = """
SELECT c.kind, c.product, coalesce(c.language, 'unknown'), c.created_month::text, length(c.text), c.media IS NOT NULL
FROM grounds.delivery d CROSS JOIN LATERAL grounds.items_of(d) i JOIN grounds.content c ON c.id = i
WHERE d.file_sha256 IS NOT NULL"""
HERON = {"type": "image/jpeg", "url": "https://media.example.org/heron.jpg", "deidentified": True}


@pytest.fixture
async def released(gateway: TestGateway) -> dict[str, Any]:
    """Hand out a release of items that differ; return its documents by their names, and the rows of its files."""
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest(
        [
            *(fact("account"), fact("notice")),
            *(fact("content", id=f"german {n}", language="de-AT", text=f"Ein Reiher, {'m' * n}.") for n in range(4)),
            fact("content", id="comment", kind="COMMENT", parent="german 0", language="fr"),
            fact(
                "content", id="of no language", created_at="2026-02-01T00:00:00Z", audience_since="2026-02-01T00:00:00Z"
            ),
            fact("content", id="friends", audience="FRIENDS", language="it"),
        ]
    )
    gateway.set_clock(NOW)
    id = await start(gateway)
    await until_written(gateway, id)
    rows = [row for response in await every_file(gateway, id) for row in rows_of(response)]
    bodies = {name: (await get_written(gateway, id, name)).text for name in DOCUMENTS}
    return {name: json.loads(body) if name.endswith(".json") else body for name, body in bodies.items()} | {
        "rows": rows
    }


async def test_no_file_or_document_says_where_a_medium_is_stored_or_who_published_it(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    told = {"type": f"image/{CANARY}", "url": f"https://media.example.org/{CANARY}/1.png?by={CANARY}"}
    gateway.set_clock(NOW)
    await gateway.ingest(
        [
            *(fact("account"), fact("notice")),
            fact("content", media=[HERON | told | {"alt": f"A heron, by {CANARY}@example.org"}]),
        ]
    )
    shown = await everything_released(gateway, "first")
    assert ("/media/" in shown, "A heron, by [EMAIL]" in shown) == (True, True)
    assert [each for each in (CANARY, "media.example.org") if each in shown] == []
    monkeypatch.setattr("app.releases.parquet.media_of_item", lambda _ids, _base, _item, text: json.loads(text))
    shown = await everything_released(gateway, "second")
    killed("media as they are stored", "app/releases/parquet.py", "a canary in a file" if CANARY in shown else None)


async def everything_released(gateway: TestGateway, name: str) -> str:
    """Write all files and documents of a release into one text."""
    id = await start(gateway, name)
    await until_written(gateway, id)
    rows = [row for response in await every_file(gateway, id) for row in rows_of(response)]
    documents = [(await get_written(gateway, id, document)).text for document in DOCUMENTS]
    return json.dumps([rows, documents], default=str)


async def test_every_figure_is_a_query_on_the_ledger(gateway: TestGateway, released: dict[str, Any]) -> None:
    ledger = gateway.execute(LEDGER)
    kinds, products, languages, months = (dict(Counter(row[place] for row in ledger)) for place in range(4))
    summary, manifest = released["training-summary.json"], released["manifest.json"]
    assert manifest["items"] == summary["1.3"]["items"] == len(ledger) == len(released["rows"]) == 6
    assert summary["1.3"]["characters"] == sum(row[4] for row in ledger)
    assert (summary["1.3"]["itemsByLanguage"], summary["2.4"]["itemsByKind"]) == (languages, kinds)
    assert summary["2.4"]["itemsByService"] == products
    assert (summary["1.3"]["firstMonth"], summary["1.3"]["lastMonth"]) == (min(months), max(months))
    assert summary["1.3"]["itemsWithMediaByType"] == {}
    assert summary["2.4"]["itemsByGround"] == {"PUBLIC_CONTENT": len(ledger)}
    assert (summary["2.4"]["fromInteractionsWithTheModel"], summary["2.4"]["fromOtherServices"]) == (False, True)
    assert summary["2.5"] == {"used": False}
    (sent,) = gateway.execute("SELECT item_count, encode(file_sha256, 'hex'), policy FROM grounds.delivery")
    (shard,) = manifest["shards"]
    assert (shard["items"], shard["sha256"], shard["policyVersion"]) == sent
    assert shard["receipt"] is not None
    recorded = {each["ground"]: each["items"] for each in released["processing-record.json"]["processing"]}
    assert recorded == {"PUBLIC_CONTENT": len(ledger), "AI_INTERACTION": 0}
    for kind, items in kinds.items():
        assert f"| {kind} | {items} |" in released["README.md"]
    assert f"{len(ledger)} items with {summary['1.3']['characters']} characters" in released["README.md"]


async def test_a_manifest_is_signed_by_the_key_of_the_ledger(released: dict[str, Any]) -> None:
    manifest = released["manifest.json"]
    key = signing_key(SECRET).public_key()
    assert bytes.fromhex(manifest["publicKey"]) == key.public_bytes_raw()
    verify(key, manifest)
    for name in set(manifest) - {"signature"}:
        with pytest.raises(InvalidSignature):
            verify(key, manifest | {name: "edited"})


def verify(key: Ed25519PublicKey, manifest: dict[str, Any]) -> None:
    key.verify(base64.b64decode(manifest["signature"]), canonical_json(manifest))


async def test_descriptions_name_every_column_and_every_condition(released: dict[str, Any]) -> None:
    columns = list(released["rows"][0])
    croissant = released["croissant.json"]
    (records,) = croissant["recordSet"]
    assert [field["source"]["extract"]["column"] for field in records["field"]] == columns
    files = {each["contentUrl"]: each["sha256"] for each in croissant["distribution"] if "contentUrl" in each}
    assert files == {each["path"]: each["sha256"] for each in released["manifest.json"]["shards"]}
    assert released["policy.json"] == json.loads(default_policy().document())
    described = released["conditions.json"]["conditions"]
    required = {each["code"] for each in described if "PUBLIC_CONTENT" in each["grounds"]}
    assert {"NO_ACTIVE_OBJECTION", "AUTHOR_ADULT_NOW"} <= required
    assert {each["column"] for each in described if each["column"]} <= set(columns)
    head = released["README.md"].split("---")[1]
    assert "path: data/*.parquet" in head
    assert "- de\n- fr" in head
    assert all(f"| `{name}` |" in released["README.md"] for name in columns)


async def test_a_manifest_waits_for_the_files(gateway: TestGateway) -> None:
    id = await start(gateway)
    assert (await publish(gateway, id))["shards"] == []
