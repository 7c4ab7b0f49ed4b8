"""Ids of 2,048 bytes, as ActivityPub's can be, work in every record and every index; longer ones are refused."""

import random
from typing import Any

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

LIMIT = 2048
LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 8192)))  # three bytes each, which PostgreSQL cannot compress


def long_id(seed: int, size: int = LIMIT) -> str:
    """Make an id of so many bytes."""
    chance = random.Random(seed)
    return "".join(chance.choice(LETTERS) for _ in range(size // 3)) + "x" * (size % 3)


async def test_ids_of_2048_bytes_work_everywhere(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    author, other, item, person, notice = map(long_id, range(5))
    assert len(item.encode()) == LIMIT
    records: list[dict[str, Any]] = [
        fact("account", id=author, person=person),
        fact("account", id=other, person=person),
        fact("content", id=item, account=author, kind="PHOTO"),
        fact("content", id=long_id(9), account=author, kind="CAPTION", parent=item),
        fact("notice", id=notice, account=author),
        fact("consent", id=long_id(6), account=author),
        fact("content", id=long_id(7), account=author, references=[{"account": other, "relation": "TAG"}]),
    ]
    assert (await gateway.ingest(records))["total"]["rejected"] == 0
    assert (await gateway.decisions())[item][0]
    explained = "query E($id: ID!) { eligibility(contentId: $id) { permitted } }"
    assert (await gateway.ask(Role.AUDITOR, explained, {"id": item}))["eligibility"]["permitted"]
    bad = fact("content", 3, id=item, account=author, kind="NONE")
    assert (await gateway.ingest([bad]))["total"]["rejected"] == 1
    assert gateway.execute("SELECT platform_id FROM grounds.quarantine") == [(item,)]
    filed = "mutation { fileObjection(input: {scope: ALL}) { reference } }"
    await gateway.ask(Role.DATA_SUBJECT, filed, subject=other)
    objection = fact("objection", id=long_id(8), account=author, person=person)
    assert (await gateway.ingest([objection]))["total"]["rejected"] == 0
    assert not any(permitted for permitted, _, _ in (await gateway.decisions()).values())


async def test_a_longer_id_is_refused_with_the_limit(gateway: TestGateway) -> None:
    for field in ("id", "account", "parent"):
        too_long: dict[str, Any] = {field: long_id(1, LIMIT + 1)}
        (reject,) = (await gateway.ingest([fact("content", **too_long)]))["rejects"]
        assert (reject["field"], "2048 bytes" in reject["reason"]) == (field, True)
