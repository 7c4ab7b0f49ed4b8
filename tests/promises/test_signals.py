"""Signals of items and accounts keep items out, and the evidence says which, where each was and when it was seen."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from db.policy.compile import compiled_views
from db.policy.document import default_policy
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway, put_page_view
from tests.support.mutants import Killed
from tests.support.retractions import settled
from tests.support.signal_vectors import VECTORS, signals_of

SEEN = {"location": "https://platform.example/secret-place", "seen_at": "2026-01-02T03:04:05Z"}
DENIAL = {"syntheticContentGeneration": {"allow": False, "updatedAt": "2026-02-01T00:00:00Z"}}
# These depend on which entity of AT Protocol the platform is: where that is not known, the protective reading counts.
OF_AN_ENTITY = {"lex-02", "lex-03"}
ACCOUNT_FORMATS = {"ActivityPub actor", "org.user-intents.declaration", "community.lexicon.preference.ai"}
RESERVATION = """query Why($id: ID!) {
  eligibility(contentId: $id) { conditions { code outcome evidence } }
  content(id: $id) {
    signals { source statement reserves form location path seenAt fault }
    account { signals { source } }
  }
}"""
IGNORED = "says nothing about training, because its standard ignores such a value"
OVERRULED = "does not count, because another signal of its standard has precedence"


def signal(standard: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"standard": standard, "value": value} | SEEN | fields


def people(*accounts: str) -> list[dict[str, Any]]:
    return [
        record
        for account in accounts
        for record in (fact("account", id=account), fact("notice", id=f"n-{account}", account=account))
    ]


async def failing(gateway: TestGateway, code: str) -> set[str]:
    return {item for item, (_, _, outcomes) in (await gateway.decisions()).items() if outcomes[code] == "FAIL"}


def facts_of(vectors: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """State each vector's signals about an item of its own, or about its account where they speak of that."""
    records = []
    for vector in vectors:
        name = vector["id"]
        found = [{"seen_at": SEEN["seen_at"]} | each for each in signals_of(vector)]
        of_account = vector["format"] == "ActivityPub actor"
        records += [
            fact("account", id=name, signals=found if of_account else []),
            fact("notice", id=f"n-{name}", account=name),
            fact("content", id=name, account=name, signals=[] if of_account else found),
        ]
    return records


def expected_of(name: str) -> set[str]:
    """Return the vectors that reserve, or that object."""
    if name == "objection":
        return {v["id"] for v in VECTORS if isinstance(v["expected"].get("objection"), dict)} | OF_AN_ENTITY
    return {v["id"] for v in VECTORS if any(right["train_ai"] == "n" for right in v["expected"].get("rights") or [])}


async def test_every_vector_decides_over_http(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    answer = await gateway.ingest(facts_of(v for v in VECTORS if not v["id"].startswith("xrobots-02")))
    assert answer["total"]["rejected"] == 0
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == expected_of("rights") - {"xrobots-02"}
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == expected_of("objection")
    minors = {v["id"] for v in VECTORS if v["expected"].get("scans", {}).get("minors") == "FLAGGED"}
    assert await failing(gateway, "NO_MINOR_REFERENCED") == minors
    objections = gateway.execute("SELECT platform_id, scope, channel, received_at::text FROM grounds.objection")
    received = "2026-04-04 12:00:00+00"
    assert ("signal:community.lexicon.preference.ai:lex-01", "PUBLIC_CONTENT", "API", received) in objections


async def test_evidence_names_the_signal_where_and_when_it_was_seen_to_all_but_clients(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    signals = [
        signal("http-header Content-Usage", "train-ai=n"),
        signal("/.well-known/tdmrep.json", [{"location": "/a", "tdm-reservation": 1}], path="/a/1"),
        signal("http-header tdm-reservation", "0"),
    ]
    await gateway.ingest([*people("author"), fact("content", signals=signals), fact("content", id="free")])
    readers: list[tuple[Role, dict[str, Any]]] = [
        (Role.PRIVACY_OFFICER, {}),
        (Role.AUDITOR, {}),
        (Role.DATA_SUBJECT, {"subject": "author"}),
    ]
    for role, claims in readers:
        (item,) = [
            node["id"]
            for node in (await gateway.ask(role, "{ contents(first: 5) { nodes { id signals { form } } } }", **claims))[
                "contents"
            ]["nodes"]
            if node["signals"]
        ]
        found = await gateway.ask(role, RESERVATION, {"id": item}, **claims)
        evidence = {each["code"]: each["evidence"] for each in found["eligibility"]["conditions"]}
        assert evidence["NO_RIGHTS_RESERVATION"] == (
            "AIPREF (http-header Content-Usage at https://platform.example/secret-place,"
            " seen 2026-01-02T03:04:05+00:00)"
        )
        assert [(s["source"], s["statement"], s["reserves"]) for s in found["content"]["signals"]] == [
            ("AIPREF", "RESERVED", True),
            ("TDMREP", "RESERVED", False),  # superseded by the header
            ("TDMREP", "ALLOWED", False),
        ]
    pulled = await gateway.post(
        Role.TRAINING_CLIENT,
        "{ trainableContent(first: 9) { nodes { id text reason { conditions { code evidence } } } } }",
    )
    assert len(pulled.json()["data"]["trainableContent"]["nodes"]) == 1
    assert "secret-place" not in pulled.text
    stated = gateway.execute("SELECT signals::text FROM grounds.content WHERE platform_id = 'item'")
    assert "train-ai=n" not in stated[0][0], "a value is read and not kept"


async def test_a_reservation_of_an_account_marks_every_item_and_taking_it_back_waits(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    actor = signal("ActivityPub actor", {"indexable": False})
    await gateway.ingest([*people("author"), fact("account", 3, signals=[actor]), fact("content")])
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == {"item"}
    await gateway.ingest([fact("account", 4, id="author")])
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == set()
    assert await failing(gateway, "ACCOUNT_IN_GOOD_STANDING") == {"item"}
    gateway.set_clock(NOW + timedelta(days=8))
    assert await failing(gateway, "ACCOUNT_IN_GOOD_STANDING") == set()


async def test_a_minors_age_in_the_metadata_that_is_taken_back_waits(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    age = signal("XMP plus:MinorModelAgeDisclosure", "http://ns.useplus.org/ldf/vocab/AG-A15")
    await gateway.ingest([*people("author"), fact("content", signals=[age])])
    await gateway.ingest([fact("content", 3)])
    assert await failing(gateway, "CONTENT_SETTLED") == {"item"}


async def test_a_private_message_objects_for_its_account_where_its_signals_do(gateway: TestGateway) -> None:
    denial = signal("org.user-intents.declaration", DENIAL)
    message = fact("content", id="message", kind="PRIVATE_MESSAGE", text=None, signals=[denial])
    await gateway.ingest([*people("author"), fact("content"), message])
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == {"item", "message"}


async def test_a_reservation_of_an_account_counts_for_the_families_of_its_items(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    actor = signal("ActivityPub actor", {"indexable": False})
    caption = fact("content", id="caption", account="other", kind="CAPTION", parent="item")
    await gateway.ingest([*people("author", "other"), fact("content", kind="PHOTO"), caption])
    assert len(await gateway.pull()) == 2
    await gateway.ingest([fact("account", 3, id="other", signals=[actor])])
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == {"item", "caption"}
    assert await gateway.pull() == []
    await settled(gateway)
    retracted = "SELECT count(*) FROM grounds.retraction_batch, unnest(items) WHERE kind = 'RETRACT'"
    assert gateway.execute(retracted) == [(2,)]
    late = fact("content", id="late", account="other", kind="CAPTION", parent="later")
    await gateway.ingest([late, fact("content", id="later", kind="PHOTO")])
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == {"item", "caption", "late", "later"}
    await gateway.ingest([fact("account", 4, id="other")])
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == set()


async def test_a_statement_about_a_whole_account_objects_until_the_person_withdraws_it(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    intents = "org.user-intents.declaration"
    reference = f"signal:{intents}:author"
    await gateway.ingest([*people("author"), fact("account", 3, signals=[signal(intents, DENIAL)]), fact("content")])
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == {"item"}

    await gateway.ingest([fact("account", 4, signals=[signal(intents, None)]), fact("account", 5)])
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == {"item"}, "its removal withdraws nothing"

    withdraw = f'mutation {{ withdrawObjection(reference: "{reference}") {{ withdrawnAt }} }}'
    await gateway.ask(Role.DATA_SUBJECT, withdraw, subject="author")
    gateway.set_clock(NOW + timedelta(days=15))
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == set()

    undated = {"syntheticContentGeneration": {"allow": False}}
    await gateway.ingest([fact("account", 6, signals=[signal(intents, DENIAL)])])
    await gateway.ingest([fact("account", 7, signals=[signal(intents, undated, seen_at="2026-06-15T00:00:00Z")])])
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == set(), "what was withdrawn is stated again"
    later = {"syntheticContentGeneration": {"allow": False, "updatedAt": "2026-06-10T00:00:00Z"}}
    await gateway.ingest([fact("account", 1, signals=[signal(intents, later)])])
    assert await failing(gateway, "NO_ACTIVE_OBJECTION") == {"item"}, "a later declaration counts, on a stale line too"


async def test_a_signal_retracts_what_was_delivered(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    items = [fact("content"), fact("content", id="second", account="second")]
    await gateway.ingest([*people("author", "second"), *items])
    assert len(await gateway.pull()) == 2
    await gateway.ingest([fact("content", 3, signals=[signal("http-header X-Robots-Tag", "noai")])])
    actor = [signal("ActivityPub actor", {"indexable": False})]
    await gateway.ingest([fact("account", 3, id="second", signals=actor)])
    assert await gateway.pull() == []
    await settled(gateway)
    feed = await gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { kind } } }")
    assert [node["kind"] for node in feed["retractions"]["nodes"]] == ["RETRACT", "RETRACT"]


async def test_a_signal_that_cannot_be_read_is_reported_and_one_that_is_none_sets_its_line_aside(
    gateway: TestGateway,
) -> None:
    gateway.set_clock(NOW)
    unreadable: list[tuple[str, int, str, Any, str]] = [
        ("item", 0, "/.well-known/tdmrep.json", "{", "counts as an opt-out from training"),
        ("item", 1, "http-header Content-Usage", "=", IGNORED),
        ("item", 2, "http-header tdm-reservation", "2", IGNORED),
        ("allowed", 0, "/.well-known/tdmrep.json", "{", OVERRULED),
        ("allowed", 1, "http-header tdm-reservation", ["2", "0"], "allows training, by its other parts"),
    ]
    answer = await gateway.ingest(
        [
            *people("author"),
            *(
                fact(
                    "content",
                    id=item,
                    signals=[signal(form, value) for on, _, form, value, _ in unreadable if on == item],
                )
                for item in ("item", "allowed")
            ),
            fact("content", id="long", signals=[signal("robots.txt", "a" * 65537)]),
            fact("content", id="other", signals=[signal("smoke signals", "1")]),
        ]
    )
    for told, (item, place, _, _, counts_as) in zip(answer["unreadableSignals"], unreadable, strict=True):
        assert (told["id"], told["field"]) == (item, f"signals.{place}")
        assert told["reason"].endswith(f"; the line was stored, but the signal {counts_as} (correct the signal)")
    assert [(each["id"], each["field"]) for each in answer["rejects"]] == [
        ("long", "signals.0.value"),
        ("other", "signals.0.standard"),
    ]
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == {"item"}


async def test_a_private_message_leaves_nothing_of_its_signals(gateway: TestGateway) -> None:
    private = [signal("text of the item", "no AI training", seen_at=None)]
    message = fact("content", kind="PRIVATE_MESSAGE", text=None, signals=private)
    await gateway.ingest([*people("author"), message])
    assert gateway.execute("SELECT signals FROM grounds.content") == [(None,)]


async def test_broken_builds_are_noticed(gateway: TestGateway, killed: Killed) -> None:
    gateway.set_clock(NOW)
    actor = [signal("ActivityPub actor", {"indexable": False})]
    header = [signal("http-header tdm-reservation", "1")]
    await gateway.ingest([*people("author"), fact("account", 3, signals=actor), fact("content")])
    await gateway.ingest([*people("other"), fact("content", id="reserved", account="other", signals=header)])
    view = compiled_views(default_policy())["trainable_content"]
    for rule in ("NOT s.reserved", "NOT c.reserved"):
        assert rule in view
        broken = view.replace(rule, "TRUE")
        put_page_view(gateway.database_url, broken)
        leaked = await gateway.pull()
        killed(f"a page without {rule}", "db/policy/conditions.py", "test_every_vector" if leaked else None)
    assert await failing(gateway, "NO_RIGHTS_RESERVATION") == {"item", "reserved"}


@pytest.mark.parametrize("dated", [True, False])
async def test_a_signal_that_is_seen_by_two_at_once_is_one_objection(gateway: TestGateway, dated: bool) -> None:
    stated = "SELECT grounds.object_by_signal('a', 'x', %s, %s)"
    for instant in ("2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"):
        gateway.execute(stated, instant, dated)
    found = gateway.execute("SELECT received_at::date::text, withdrawn_at FROM grounds.objection")
    assert found == [("2026-02-01", None)]
