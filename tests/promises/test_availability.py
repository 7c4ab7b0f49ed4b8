"""Trainable content in the order in which it became available: each item once and none missed, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from db.delivery.availability import MAX_PASSED_OVER
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.documents import block
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.offers import Offers, offering, offers_of
from tests.support.retractions import alter, settled

pytestmark = pytest.mark.database
gateway = offering

NEWEST = """query New($first: Int!, $after: String, $filter: TrainableContentFilter) {
  trainableContent(first: $first, after: $after, filter: $filter, order: AVAILABILITY) {
    edges { cursor node { id text reason { receipt } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
# A country that is stated there and back counts at once.
MOVING = {"version": "moving", "dwell": DEFAULT_POLICY["dwell"] | {"taken_back_days": 0}}


class Unavailable(Exception):
    """Offers are being built."""


class Reader:
    """A training client that keeps its cursor."""

    def __init__(self, gateway: TestGateway, first: int = 2, filter: dict[str, Any] | None = None) -> None:
        self.gateway, self.first, self.filter = gateway, first, filter
        self.cursor: str | None = None
        self.ids = ids_of(SECRET, "client:client")
        self.names: dict[int, str] = {}

    async def pull(self) -> list[str]:
        """Read what is new; return the platform's names of the items."""
        return [self.name(number) for number in await self.new_items()]

    async def new_items(self) -> list[int]:
        """Read what is new, page by page; return the numbers of the items. Raises Unavailable."""
        found: list[int] = []
        has_next = True
        while has_next:
            page = await self.page()
            has_next = page["pageInfo"]["hasNextPage"]
            found += [self.number(edge["node"]["id"]) for edge in page["edges"]]
        return found

    async def page(self) -> dict[str, Any]:
        """Read one page, and keep the cursor at which it ends. Raises Unavailable."""
        asked = {"first": self.first, "after": self.cursor, "filter": self.filter}
        answer = (await self.gateway.post(Role.TRAINING_CLIENT, NEWEST, asked)).json()
        if "errors" in answer:
            assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE", answer
            raise Unavailable
        page: dict[str, Any] = answer["data"]["trainableContent"]
        self.cursor = page["pageInfo"]["endCursor"]
        return page

    def number(self, id: str) -> int:
        decoded = self.ids.decode_as(IdKind.TRAINABLE_CONTENT, id)
        assert decoded is not None
        return decoded

    def name(self, number: int) -> str:
        if number not in self.names:
            self.names = dict(self.gateway.execute("SELECT id, platform_id FROM grounds.content"))
        return self.names[number]


@asynccontextmanager
async def loaded(gateway: TestGateway, count: int = 5, *, moving: bool = False) -> AsyncIterator[tuple[Offers, Reader]]:
    """Load an author and a few items, and offer them. An author who is `moving` counts as back at once."""
    gateway.set_clock(NOW)
    if moving:
        await activate(gateway, **MOVING)
    names = [f"item-{number}" for number in range(count)]
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=name) for name in names)])
    async with offers_of(gateway) as offers:
        offers.fold()
        yield offers, Reader(gateway)


async def test_after_a_pull_the_next_one_gives_what_is_new(gateway: TestGateway) -> None:
    async with loaded(gateway) as (offers, reader):
        assert await reader.pull() == [f"item-{number}" for number in range(5)]
        assert await reader.pull() == []
        await gateway.ingest([fact("content", id="late")])
        assert await reader.pull() == []
        offers.fold()
        assert await reader.pull() == ["late"]
        assert await reader.pull() == []
        assert len(await Reader(gateway, 100).pull()) == 6


async def test_the_query_of_the_readme_is_answered(gateway: TestGateway) -> None:
    async with loaded(gateway):
        answer = await gateway.ask(Role.TRAINING_CLIENT, block("schema/README.md", "what is new"))
        assert len(answer["trainableContent"]["nodes"]) == 5


async def test_every_edge_has_the_cursor_of_its_place(gateway: TestGateway) -> None:
    async with loaded(gateway, 6) as (offers, reader):
        gateway.execute(mark("item-1"))
        reader.first = 3
        page = await reader.page()
        assert [reader.name(reader.number(edge["node"]["id"])) for edge in page["edges"]] == [
            *("item-0", "item-2", "item-3")
        ]
        offers.fold()
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        for edge, rest in zip(page["edges"], ([1, 2, 3, 4, 5], [1, 3, 4, 5], [1, 4, 5]), strict=True):
            from_there = Reader(gateway)
            from_there.cursor = edge["cursor"]
            assert await from_there.pull() == [f"item-{number}" for number in rest]
        page = await reader.page()
        from_there.cursor = page["edges"][0]["cursor"]
        assert await from_there.pull() == ["item-4", "item-5"]


async def test_what_is_marked_when_the_reader_passes_is_delivered_later(gateway: TestGateway, killed: Killed) -> None:
    async with loaded(gateway) as (offers, reader):
        gateway.execute(mark("item-1"))
        assert await reader.pull() == ["item-0", "item-2", "item-3", "item-4"]
        assert await reader.pull() == []
        offers.fold()
        assert await reader.pull() == ["item-1"]
        assert await reader.pull() == []
        gateway.execute(mark("item-1"))
        again = Reader(gateway)
        forget(gateway, "available_content", "WHERE (a.purpose", "WHERE clear.is_clear AND (a.purpose")
        found = await again.pull()
        offers.fold()
        found += await again.pull()
        killed("marked items are passed over for good", "available_content", "missed" if len(found) < 5 else None)


async def test_a_page_ends_before_it_passes_over_more_than_a_cursor_names(gateway: TestGateway) -> None:
    count = MAX_PASSED_OVER + 6
    async with loaded(gateway, count) as (offers, reader):
        reader.first = 1000
        marked = [f"item-{number}" for number in range(1, count - 1)]
        gateway.execute(mark(*marked))
        assert await reader.pull() == ["item-0"]
        assert await reader.pull() == []
        offers.fold()
        assert sorted(await reader.pull()) == sorted([*marked, f"item-{count - 1}"])
        assert len(reader.cursor or "") == 22


async def test_time_that_passes_makes_items_available(gateway: TestGateway) -> None:
    async with loaded(gateway, 0) as (offers, reader):
        fresh: dict[str, Any] = {"created_at": NOW.isoformat(), "audience_since": NOW.isoformat()}
        await gateway.ingest([fact("content", id="waits", **fresh), fact("content", id="ready")])
        offers.fold()
        assert await reader.pull() == ["ready"]
        gateway.set_clock(NOW + 8 * DAY)
        assert await reader.pull() == []
        offers.fold()
        assert await reader.pull() == ["waits"]


async def test_what_becomes_permitted_again_is_delivered_again(gateway: TestGateway) -> None:
    async with loaded(gateway, 2, moving=True) as (offers, reader):
        await reader.pull()
        await move(gateway, 3, "US")
        offers.fold()
        assert await reader.pull() == []
        await move(gateway, 4, "IE")
        offers.fold()
        assert await reader.pull() == ["item-0", "item-1"]


async def test_what_a_client_was_told_to_delete_is_delivered_again_though_no_fold_saw_it(
    gateway: TestGateway, killed: Killed
) -> None:
    assert await there_and_back(gateway, 3) is None
    gateway.execute("ALTER TABLE grounds.retraction_batch DISABLE TRIGGER availability_ended")
    killed("no trigger availability_ended", "availability.sql", await there_and_back(gateway, 5))


async def there_and_back(gateway: TestGateway, day: int) -> str | None:
    """Forbid an item until its client is told, and permit it again, all between two folds."""
    async with loaded(gateway, 1, moving=True) as (offers, reader):
        await reader.pull()
        await move(gateway, day, "US")
        await settled(gateway)
        await move(gateway, day + 1, "IE")
        await settled(gateway)
        offers.fold()
        return None if await reader.pull() == ["item-0"] else "the item was deleted and not delivered again"


async def test_other_rules_repeat_nothing_that_was_permitted_before(gateway: TestGateway, killed: Killed) -> None:
    async with loaded(gateway) as (offers, reader):
        assert len(await reader.pull()) == 5
        await activate(gateway, version="other", regions=["IE", "US"])
        refused = await gateway.post(Role.TRAINING_CLIENT, NEWEST, {"first": 2, "after": reader.cursor})
        assert "while the gateway builds the offers" in refused.json()["errors"][0]["message"]
        assert refused.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
        await gateway.ingest([fact("content", id="late")])
        offers.fold()
        assert await reader.pull() == ["late"]
        offers.connection.execute("SELECT grounds.discard_offers()")
        offers.fold()
        assert await reader.pull() == []
        alter(
            gateway,
            "build_offers(integer)",
            ("PERFORM grounds.number_available(due,",
             "DELETE FROM grounds.availability; PERFORM grounds.number_available(due,"),
        )  # fmt: skip
        await activate(gateway, version="third", regions=["IE"])
        offers.fold()
        killed("a rebuild renumbers", "build_offers()", "repeated" if await reader.pull() else None)


async def test_items_under_a_hold_do_not_stop_a_reader_and_come_when_it_ends(gateway: TestGateway) -> None:
    count = MAX_PASSED_OVER + 6
    async with loaded(gateway, count) as (offers, reader):
        other = [fact("account", id="other", country="FR"), fact("notice", id="of-other", account="other")]
        await gateway.ingest([*other, fact("content", id="elsewhere", account="other")])
        offers.fold()
        gateway.execute(
            "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
            " VALUES ('COUNTRY', 'IE', 'An authority', 'A reason', grounds.decision_time())"
        )
        reader.first = 100
        assert await reader.pull() == []  # more than a cursor names
        offers.fold()
        assert await reader.pull() == ["elsewhere"]
        gateway.execute("UPDATE grounds.hold SET lifted_at = grounds.decision_time()")
        offers.fold()
        assert await reader.pull() == []
        gateway.set_clock(NOW + timedelta(hours=25))
        offers.fold()
        assert len(await reader.pull()) == count


async def test_a_position_that_the_transaction_of_a_fact_gives_is_passed_by(
    gateway: TestGateway, killed: Killed
) -> None:
    assert await slow_arrival(gateway, "slow") is None
    gateway.execute("CREATE SEQUENCE grounds.early START 100")
    gateway.execute("UPDATE grounds.availability_purpose SET last_position = 1000")
    gateway.execute(
        "CREATE FUNCTION grounds.number_early() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO grounds.availability VALUES ('GENAI_TRAINING', nextval('grounds.early'), NEW.id);"
        " RETURN NULL; END $$"
    )
    gateway.execute(
        "CREATE TRIGGER number_early AFTER INSERT ON grounds.content FOR EACH ROW"
        " EXECUTE FUNCTION grounds.number_early()"
    )
    killed("the transaction of a fact gives positions", "availability.sql", await slow_arrival(gateway, "slower"))


async def slow_arrival(gateway: TestGateway, name: str) -> str | None:
    """Let an item arrive whose transaction is open while a later one is read."""
    async with loaded(gateway, 1) as (offers, reader):
        with psycopg.connect(gateway.database_url) as slow:
            slow.execute("SELECT set_config('grounds.job', 'test', TRUE)")
            listed = ", ".join(
                column
                for (column,) in gateway.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'grounds.content'::regclass AND attnum > 0"
                    " AND NOT attisdropped AND attgenerated = '' AND attidentity = '' AND attname <> 'platform_id'"
                )
            )
            slow.execute(
                f"INSERT INTO grounds.content (platform_id, {listed}) SELECT '{name}', {listed}"
                " FROM grounds.content WHERE platform_id = 'item-0'".encode()
            )
            await gateway.ingest([fact("content", id=f"after {name}")])
            offers.fold()
            found = await reader.pull()
            slow.commit()
        offers.fold()
        found += await reader.pull()
        return None if found.count(name) == 1 else "the item that was slow is missed"


async def test_a_cursor_belongs_to_its_order_its_filter_and_its_purpose(gateway: TestGateway) -> None:
    async with loaded(gateway) as (_, reader):
        await reader.page()

        async def refusal(query: str = NEWEST, after: str | None = reader.cursor, **others: Any) -> str:
            filter, claims = others.pop("filter", None), others
            asked = {"first": 2, "after": after, "filter": filter}
            answer = (await gateway.post(Role.TRAINING_CLIENT, query, asked, **claims)).json()
            message: str = answer["errors"][0]["message"] if "errors" in answer else ""
            return message

        by_id = NEWEST.replace(", order: AVAILABILITY", "")
        page = (await gateway.ask(Role.TRAINING_CLIENT, by_id, {"first": 2}))["trainableContent"]
        assert "this cursor belongs to the order ID" in await refusal(after=page["pageInfo"]["endCursor"])
        assert "this cursor belongs to the order AVAILABILITY" in await refusal(by_id)
        assert "another filter or purpose" in await refusal(filter={"kinds": ["POST"]})
        assert "must be a cursor of this list" in await refusal(after="nothing")
        assert "must be a cursor of this list" in await refusal(after=f"{reader.cursor}.")
        assert await refusal() == await refusal(filter={}) == ""
        assert "another filter or purpose" in await refusal(purpose="ADVERTISING")
        assert await refusal(after=None, filter={"languages": ["DE", "en"]}) == ""


async def test_a_filter_in_any_order_of_its_values_is_the_same(gateway: TestGateway) -> None:
    async with loaded(gateway) as (offers, reader):
        reader.filter = {"kinds": ["POST", "PHOTO"], "createdMonths": ["2026-01-01"]}
        assert len(await reader.pull()) == 5
        await gateway.ingest(
            [fact("content", id="photo", kind="PHOTO"), fact("content", id="comment", kind="COMMENT", parent="item-0")]
        )
        offers.fold()
        reader.filter = {"createdMonths": ["2026-01-31"], "kinds": ["PHOTO", "POST"]}
        assert await reader.pull() == ["photo"]


async def test_an_item_whose_medium_was_altered_is_passed_over(gateway: TestGateway) -> None:
    medium = {"type": "image/png", "url": "https://media.example/1", "sha256": "0" * 64, "deidentified": True}
    async with loaded(gateway, 0) as (offers, reader):
        reader.filter = {"mediaTypes": ["image/png"]}
        photos = [fact("content", id=name, kind="PHOTO", media=[medium]) for name in ("one", "two")]
        await gateway.ingest(photos)
        offers.fold()
        gateway.execute("UPDATE grounds.content SET quarantined_at = 'infinity' WHERE platform_id = 'one'")
        assert await reader.pull() == ["two"]
        offers.fold()
        assert await reader.pull() == []
        gateway.execute("UPDATE grounds.content SET quarantined_at = '-infinity' WHERE platform_id = 'one'")
        offers.fold()
        assert await reader.pull() == ["one"]


def mark(*names: str) -> str:
    """Write the statement that marks items, as a change of theirs that forbids nothing would."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"UPDATE grounds.content SET observed_at = observed_at WHERE platform_id IN ({listed})"


async def move(gateway: TestGateway, day: int, country: str) -> None:
    """Let the author move: a country counts at once, there and back."""
    await gateway.ingest([fact("account", day, country=country)])


async def activate(gateway: TestGateway, **changed: Any) -> None:
    """Put another policy in force."""
    policy = parse_policy(json.dumps(DEFAULT_POLICY | changed))
    await asyncio.to_thread(activate_policy, gateway.database_url, policy)


def forget(gateway: TestGateway, view: str, old: str, new: str) -> None:
    """Build a view with a fault."""
    ((body,),) = gateway.execute(f"SELECT pg_get_viewdef('grounds.{view}'::regclass)")
    assert old in body, f"{view} does not have: {old}\n{body}"
    gateway.execute(
        f"CREATE OR REPLACE VIEW grounds.{view} WITH (security_barrier) AS {body.replace(old, new)}".replace("%", "%%")
    )
