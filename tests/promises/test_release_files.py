"""A file of a release has what is permitted when it is asked for, its receipt has the same, and holders are told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from db.releases.shards import hand_out_shard, open_shard, training_connection
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.database_pauses import WAITING, job_stopped, until
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.releases import (
    every_file,
    get,
    get_written,
    publish,
    rows_of,
    start,
    texts_of,
    until_written,
)
from tests.support.retractions import alter, retraction_ids, settled, supersede
from tests.support.shared_server import SharedServer

pytestmark = pytest.mark.database

FIRST = "data/train-00000.parquet"
OBJECT = "mutation O($account: String!) { fileObjection(input: {account: $account, scope: ALL}) { reference } }"
ACKNOWLEDGE = "mutation A($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"
ROUNDS = 4
PLANT = (
    "INSERT INTO grounds.canary (item, reason, planted_by, planted_at)"
    " SELECT id, 'r', 'operator', now() FROM grounds.content WHERE platform_id = 'of person a'"
)
HOLD = """mutation H($scope: HoldScope!, $value: String) {
  openHold(scope: $scope, value: $value, authority: "a", reason: "r") { id } }"""
OPEN, HAND_OUT = "open_shard(bigint, integer)", "hand_out_shard(bigint, integer, bigint[], text, bytea, bigint, json)"
STORE = "store_shard(bigint, integer, uuid, text, timestamptz, integer, bytea, text, bytea, bigint, json)"


@pytest.fixture
async def platform(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """People with an item each; items of another that mention them; comments of another under their items."""
    async with shared_server.gateway(release_items=9) as gateway:
        await load_people(gateway, [f"person {letter}" for letter in "abcde"])
        yield gateway


async def load_people(gateway: TestGateway, people: list[str]) -> None:
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest(
        [
            *(fact("account", id=name) for name in (*people, "another")),
            *(fact("notice", id=f"to {name}", account=name) for name in (*people, "another")),
            *(fact("content", id=f"of {name}", account=name, text=f"Own {name}.") for name in people),
            *(
                fact("content", id=f"mention {name}", text=f"Mentions {name}.", account="another")
                | {"references": [{"account": name, "relation": "TAG"}]}
                for name in people
            ),
            *(
                fact("content", id=f"under {name}", kind="COMMENT", parent=f"of {name}", text=f"Under {name}.")
                | {"account": "another"}
                for name in people
            ),
        ]
    )
    gateway.set_clock(NOW)


async def test_files_have_what_pages_have_and_receipts_have_what_files_have(platform: TestGateway) -> None:
    pages = {item["id"]: item for item in await platform.pull()}
    platform.execute("TRUNCATE grounds.delivery")
    id = await start(platform)
    assert (await until_written(platform, id))["items"] == len(pages) == 15
    rows = [row for response in await every_file(platform, id) for row in rows_of(response)]
    assert {(row["id"], row["author"], row["text"], row["kind"], row["ground"]) for row in rows} == {
        (id, page["author"]["id"], page["text"], page["kind"], page["reason"]["ground"]) for id, page in pages.items()
    }
    assert len(rows) == len(pages)
    assert receipted(platform) == {row["id"] for row in rows}


async def test_who_objected_is_in_no_file_whoever_has_looked_at_the_objection(platform: TestGateway) -> None:
    id = await start(platform)
    await until_written(platform, id)
    manifest = await publish(platform, id)
    assert manifest["version"] == "1.0.0"
    await every_file(platform, id)
    for turn, letter in enumerate("abcd"[:ROUNDS]):
        name = f"person {letter}"
        if turn % 2:
            await objected(platform, name)
            await settled(platform)
            served = await every_text(platform, id)
        else:
            async with job_stopped(platform, "retract"):
                await objected(platform, name)
                served = await every_text(platform, id)
        assert not served & {f"Own {name}.", f"Mentions {name}."}
        async with job_stopped(platform, "retract"):
            deleted = fact("content", 9, id=f"of {name}", account=name, deleted_at="2026-01-09T00:00:00Z")
            await platform.ingest([deleted])
            assert f"Under {name}." not in await every_text(platform, id)
    assert await every_text(platform, id) == {"Own person e.", "Mentions person e.", "Under person e."}
    await settled(platform)
    gone = {
        f"{what} {name}"
        for name in ("person a", "person b", "person c", "person d")
        for what in ("of", "mention", "under")
    }
    assert await items_told_of(platform, "RETRACT") == gone
    assert (await publish(platform, id))["version"] == "2.0.0"
    removed = await get(platform, id, "removed-2.0.0.parquet")
    assert {row["id"] for row in rows_of(removed)} == await ids_for(platform, gone)


@pytest.mark.long
async def test_of_a_thousand_items_none_is_handed_out_after_what_forbids_it(shared_server: SharedServer) -> None:
    def named(place: int) -> str:
        return "person " + "".join("abcdefghij"[int(digit)] for digit in f"{place:03}")

    async with shared_server.gateway(release_items=250) as gateway:
        await load_people(gateway, [named(place) for place in range(340)])
        id = await start(gateway)
        assert (await until_written(gateway, id))["items"] == 1020
        absent = 0
        for name in map(named, range(340)):
            await objected(gateway, name)
            served = await every_text(gateway, id)
            absent += (f"Own {name}." not in served) + (f"Mentions {name}." not in served)
            await gateway.ingest([fact("content", 9, id=f"of {name}", account=name, deleted_at="2026-01-09T00:00:00Z")])
            absent += f"Under {name}." not in await every_text(gateway, id)
        assert absent == 1020


async def test_what_changed_outside_the_range_of_a_file_is_no_error(platform: TestGateway) -> None:
    id = await start(platform)
    await until_written(platform, id)
    async with job_stopped(platform, "retract"):
        platform.execute(
            "INSERT INTO grounds.retraction_queue (scope, numbers) SELECT 'ITEM', array_agg(n)"
            " FROM generate_series(-3000, 9000, 7) n"
        )
        assert {response.status_code for response in await every_file(platform, id)} == {200}


async def test_an_edited_text_and_a_change_while_a_file_is_read_are_not_handed_out(platform: TestGateway) -> None:
    async with HeldReading(platform) as id:
        await objected(platform, "person a")
        await settled(platform)
    await get_written(platform, id, FIRST)
    served = await every_text(platform, id)
    assert "Own person a." not in served
    assert "Own person b." in served
    await supersede(platform, ["mention person b"])
    assert "Mentions person b." not in await every_text(platform, id)


async def test_a_hold_or_another_policy_lets_nothing_out_that_was_written_before(platform: TestGateway) -> None:
    id = await start(platform)
    await until_written(platform, id)
    await get(platform, id, FIRST)
    async with job_stopped(platform, "retract"):
        opened = await platform.ask(Role.PRIVACY_OFFICER, HOLD, {"scope": "GLOBAL", "value": None})
        assert (await get(platform, id, FIRST)).status_code == 503
    await settled(platform)
    assert (await get(platform, id, FIRST)).status_code == 503
    lift = "mutation L($id: ID!) { liftHold(id: $id) { liftedBy } }"
    for officer in ("first", "second"):
        await platform.ask(Role.PRIVACY_OFFICER, lift, {"id": opened["openHold"]["id"]}, name=officer)
    last = retraction_ids(platform)[-1]
    await platform.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": last})
    platform.set_clock(NOW + 3 * DAY)
    assert len(rows_of(await get_written(platform, id, FIRST))) == 9
    await platform.ask(Role.PRIVACY_OFFICER, HOLD, {"scope": "COUNTRY", "value": "IE"})
    assert rows_of(await get_written(platform, id, FIRST)) == []


async def test_a_delivery_in_progress_is_not_missed_by_the_feed(platform: TestGateway) -> None:
    assert await told_of_a_delivery_in_progress(platform) is None


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "only the author's items are struck",
            "grounds.items_concerned(changes.items, changes.accounts, changes.contacts)",
            "(SELECT c.id FROM grounds.content c WHERE c.account = ANY (changes.accounts) OFFSET 0)",
        ),
        ("the queue is not looked at", "grounds.retraction_queue q", "grounds.retraction_queue q WHERE FALSE"),
        ("what was struck is not decided again", "FROM grounds.trainable_content c", "FROM grounds.content c"),
    ],
)
async def test_a_shard_that_is_opened_otherwise_is_noticed(
    platform: TestGateway, name: str, old: str, new: str, killed: Killed
) -> None:
    id = await start(platform)
    await until_written(platform, id)
    alter(platform, OPEN, (old, new))
    async with job_stopped(platform, "retract"):
        await objected(platform, "person a")
        leaked = await every_text(platform, id) & {"Own person a.", "Mentions person a."}
    killed(name, "open_shard()", f"served: {', '.join(sorted(leaked))}" if leaked else None)


async def test_a_range_that_is_announced_late_is_noticed(platform: TestGateway, killed: Killed) -> None:
    alter(platform, "strike(bigint[], boolean)", ("s.state IN ('READING', 'WRITTEN')", "s.state = 'WRITTEN'"))
    async with HeldReading(platform) as id:
        await objected(platform, "person a")
        await settled(platform)
    leaked = "Own person a." in await every_text(platform, id)
    killed("a range is announced after it was read", "strike()", "served: Own person a." if leaked else None)


async def test_a_delivery_without_its_receipt_is_noticed(platform: TestGateway, killed: Killed) -> None:
    alter(platform, HAND_OUT, ("receipt IS NULL AND shard.item_count > 0", "FALSE"))
    id = await start(platform)
    await until_written(platform, id)
    served = {row["id"] for response in await every_file(platform, id) for row in rows_of(response)}
    missing = len(served - receipted(platform))
    killed("a shard leaves without a receipt", "hand_out_shard()", f"{missing} items without" if missing else None)


async def test_a_delivery_in_progress_that_locks_nothing_is_noticed(platform: TestGateway, killed: Killed) -> None:
    unlocked = ("LOCK TABLE grounds.content IN ACCESS SHARE MODE;", "")
    fault = await told_of_a_delivery_in_progress(platform, unlocked)
    killed("a delivery in progress is not seen", "open_shard()", fault)


async def test_a_planted_item_stops_a_file_where_it_is_written_and_where_it_is_handed_out(
    platform: TestGateway,
) -> None:
    platform.execute(PLANT)
    id = await start(platform)
    incidents = "SELECT client IS NOT NULL, purpose FROM grounds.canary_incident"
    await until(lambda: platform.execute(incidents) == [(True, "GENAI_TRAINING")])
    assert (await get(platform, id, FIRST)).status_code == 503
    assert platform.execute("SELECT scope, authority FROM grounds.hold") == [("GLOBAL", "Grounds")]
    platform.execute("DELETE FROM grounds.canary_incident; DELETE FROM grounds.hold; DELETE FROM grounds.canary")
    await until_written(platform, id)
    platform.execute(PLANT)
    assert (await get(platform, id, FIRST)).status_code == 503
    assert platform.execute("SELECT scope, authority FROM grounds.hold") == [("GLOBAL", "Grounds")]
    assert platform.execute("SELECT count(*) FROM grounds.delivery") == [(0,)]


async def test_a_file_that_is_written_with_a_planted_item_is_noticed(platform: TestGateway, killed: Killed) -> None:
    alter(platform, STORE, ("grounds.shard_stopped_by_canary(old.first, new_bits)", "FALSE"))
    platform.execute(PLANT)
    id = await start(platform)
    await until_written(platform, id)
    incidents = platform.execute("SELECT * FROM grounds.canary_incident")
    killed("a planted item is written", "store_shard()", None if incidents else "the file is there, and no hold")


async def test_a_file_that_is_handed_out_with_a_planted_item_is_noticed(platform: TestGateway, killed: Killed) -> None:
    alter(platform, HAND_OUT, ("grounds.shard_stopped_by_canary(shard.first, shard.item_bits)", "FALSE"))
    id = await start(platform)
    await until_written(platform, id)
    platform.execute(PLANT)
    leaked = "Own person a." in await every_text(platform, id)
    killed("a planted item is handed out", "hand_out_shard()", "served: Own person a." if leaked else None)


async def objected(gateway: TestGateway, name: str) -> None:
    await gateway.ask(Role.PRIVACY_OFFICER, OBJECT, {"account": name})


async def every_text(gateway: TestGateway, id: str) -> set[str]:
    return {text for response in await every_file(gateway, id) for text in texts_of(response)}


def receipted(gateway: TestGateway) -> set[str]:
    """Return the pseudonyms of every item that a receipt has."""
    rows = gateway.execute("SELECT i FROM grounds.delivery d, grounds.items_of(d) i")
    return set(ids_of(SECRET, "client:client").encode_all(IdKind.TRAINABLE_CONTENT, [row[0] for row in rows]))


async def ids_for(gateway: TestGateway, names: set[str]) -> set[str]:
    rows = gateway.execute("SELECT id FROM grounds.content WHERE platform_id = ANY (%s)", list(names))
    return set(ids_of(SECRET, "client:client").encode_all(IdKind.TRAINABLE_CONTENT, [row[0] for row in rows]))


async def items_told_of(gateway: TestGateway, kind: str) -> set[str]:
    """Return the platform's ids of the items that the client was told of."""
    rows = gateway.execute(
        "SELECT c.platform_id FROM grounds.retraction r JOIN grounds.content c ON c.id = r.item WHERE r.kind = %s", kind
    )
    return {name for (name,) in rows}


async def told_of_a_delivery_in_progress(gateway: TestGateway, *changes: tuple[str, str]) -> str | None:
    """Object while a delivery has looked for changes and is not recorded; return what is wrong if nobody is told."""
    looked = "IF changes.everything OR"
    alter(gateway, OPEN, *changes, (looked, f"PERFORM pg_advisory_xact_lock(4711); {looked}"))
    id = await start(gateway)
    await until_written(gateway, id)
    gateway.execute("SELECT pg_advisory_lock(4711)")
    async with training_connection(gateway.database_url, SECRET) as training:
        await training.execute("SET lock_timeout = 0")
        async with training.transaction():
            for claim, who in (("client", "1"), ("purpose", "GENAI_TRAINING")):
                await training.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", who)
            opening = asyncio.create_task(open_shard(training, 1, 0))
            await until(lambda: gateway.execute(WAITING) == [(1,)])
            await objected(gateway, "person a")
            await settled(gateway)
            gateway.execute("SELECT pg_advisory_unlock(4711)")
            assert (await opening).gone == []
            await hand_out_shard(training, 1, 0, [], None)
    await until(lambda: gateway.execute("SELECT count(*) FROM grounds.retraction_check") == [(0,)])
    return None if retraction_ids(gateway) else "the client received an objector's item and is not told"


class HeldReading:
    """Start a release whose first shard has been read and is not recorded until the block ends; yield its id."""

    def __init__(self, gateway: TestGateway) -> None:
        self._gateway = gateway

    async def __aenter__(self) -> str:
        begun = "PERFORM set_config('grounds.job', 'releases', TRUE);"
        alter(self._gateway, STORE, (begun, f"PERFORM pg_advisory_xact_lock(4711); {begun}"))
        self._gateway.execute("SELECT pg_advisory_lock(4711)")
        id = await start(self._gateway)
        await until(lambda: self._gateway.execute(WAITING) == [(1,)])
        self._id = id
        return id

    async def __aexit__(self, *_: object) -> None:
        self._gateway.execute("SELECT pg_advisory_unlock(4711)")
        await until_written(self._gateway, self._id)
