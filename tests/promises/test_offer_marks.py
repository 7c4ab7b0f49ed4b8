"""Each change that can alter a decision passes an offer over in the next statement, and each mark is needed for one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psycopg
import pytest

import db.delivery.pages
from db.access.declaration import TRAINING
from db.delivery.pages import MAX_ID, OFFERED, Filter, PageForm, narrowing, page_statement
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from db.secrets import role_password
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.facts import HASH, NOW, SCANS, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.offers import Offers, offering, offers_of
from tests.support.ordinary_cases import ordinary_every
from tests.support.retractions import alter

pytestmark = pytest.mark.database
gateway = offering

FLAGGED = SCANS | {"safety": "FLAGGED"}
TAGGED, QUOTED = ([{"account": name, "relation": "TAG"}] for name in ("other", "objector"))
PHOTO = fact("content", 3, kind="PHOTO")
CAPTION = fact("content", id="caption", kind="CAPTION", parent="item")
OTHERS = [fact("account", id=name) for name in ("other", "objector")]
OBJECTED = fact("objection", account="objector", received_at="2026-01-01T00:00:00Z")


@dataclass(frozen=True)
class Change:
    """A change that forbids an offered item: the facts before it beside the usual ones, and the facts or the act."""

    name: str
    facts: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    act: Callable[[TestGateway], Awaitable[None]] | None = None


async def _new_standing(gateway: TestGateway) -> None:
    gateway.execute(
        "SELECT grounds.refresh_standing(ARRAY(SELECT id FROM grounds.account WHERE platform_id = 'objector'))"
    )


async def _other_reference(gateway: TestGateway) -> None:
    """Replace the account that the caption references, so that its family says what it said before."""
    gateway.execute(
        "WITH replaced AS (UPDATE grounds.content_reference SET account ="
        "   (SELECT id FROM grounds.account WHERE platform_id = 'objector')"
        "   WHERE content = (SELECT id FROM grounds.content WHERE platform_id = 'caption') RETURNING content)"
        " UPDATE grounds.content c SET observed_at = c.observed_at FROM replaced r WHERE c.id = r.content"
    )


async def _hold(gateway: TestGateway) -> None:
    gateway.execute(
        "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
        " VALUES ('COUNTRY', 'IE', 'An authority', 'A reason', grounds.decision_time())"
    )


async def _policy(gateway: TestGateway) -> None:
    changed = DEFAULT_POLICY | {"version": "elsewhere", "regions": ["FR"]}
    await asyncio.to_thread(activate_policy, gateway.database_url, parse_policy(json.dumps(changed)))


async def _campaign(gateway: TestGateway) -> None:
    gateway.execute("UPDATE grounds.campaign SET told = '{}'")


ITEM = Change("a deletion", [fact("content", 3, deleted_at="2026-01-02T00:00:00Z")])
PARENT = Change(
    "a parent that is public no longer",
    [fact("content", 3, id="post", audience="FRIENDS")],
    [fact("content", id="post"), fact("content", 3, kind="COMMENT", parent="post")],
)
GRANDPARENT = Change(
    "a post above the parent that is deleted",
    [fact("content", 3, id="top", deleted_at="2026-01-02T00:00:00Z")],
    [fact("content", id="top"), fact("content", id="post", parent="top"), fact("content", 3, parent="post")],
)
NEW_FAMILY = Change("a caption that is flagged", [CAPTION | {"scans": FLAGGED}], [PHOTO])
FAMILY = Change(
    "another caption that is flagged",
    [CAPTION | {"id": "another", "scans": FLAGGED}],
    [*OTHERS, PHOTO, CAPTION | {"references": TAGGED}],
)
MEMBER = Change(
    "a caption that references as many others",
    [],
    [*OTHERS, OBJECTED, PHOTO, CAPTION | {"references": TAGGED}],
    _other_reference,
)
STANDING = Change("an objection", [fact("objection", account="author", received_at="2026-01-01T00:00:00Z")])
REFERENCED = Change(
    "an objection of an account that is referenced", [OBJECTED], [*OTHERS, fact("content", 3, references=QUOTED)]
)
NEW_STANDING = Change(
    "a standing that comes late", [], [*OTHERS, OBJECTED, fact("content", 3, references=QUOTED)], _new_standing
)
CONTACT = Change(
    "an objection of a contact that is referenced",
    [fact("objection", contact=HASH, received_at="2026-01-01T00:00:00Z")],
    [fact("content", 3, references=[{"contact": HASH, "relation": "DEPICTED"}])],
)
HOLD = Change("a hold of a country", act=_hold)
CAMPAIGN = Change("a campaign that told of nothing", act=_campaign)
POLICY = Change("a policy for elsewhere", act=_policy)
CHANGES = [ITEM, PARENT, GRANDPARENT, NEW_FAMILY, FAMILY, MEMBER, STANDING, REFERENCED, NEW_STANDING, CONTACT, HOLD]
CHANGES += [CAMPAIGN, POLICY]


async def follow(gateway: TestGateway, change: Change) -> str | None:
    """Offer an item, forbid it, and say what is wrong then, or after a fold."""
    gateway.set_clock(NOW)
    async with offers_of(gateway) as offers:
        await gateway.ingest([fact("account"), fact("notice"), fact("content"), *change.before])
        if change is NEW_STANDING:
            gateway.execute(
                "DELETE FROM grounds.account_standing"
                " WHERE account = (SELECT id FROM grounds.account WHERE platform_id = 'objector')"
            )
        offers.fold()
        assert not offers.too_many() + offers.missing()
        item = "SELECT id FROM grounds.content WHERE platform_id = 'item'"
        assert gateway.execute(f"SELECT 1 FROM grounds.offer WHERE id = ({item}) AND permitted_from <= %s", NOW), (
            "not offered"
        )
        if change.facts:
            await gateway.ingest(change.facts)
        if change.act is not None:
            await change.act(gateway)
        if offers.too_many():
            return "the item is still offered"
        offers.fold()
        if offers.too_many() or offers.missing():
            return "a fold leaves other offers than the rules permit"
        offers.connection.execute("SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)")
        left = offers.connection.execute(
            f"SELECT 1 FROM grounds.offered_content WHERE id = ({item})".encode()
        ).fetchall()
        assert not left, "the change forbade nothing"
    return None


@pytest.mark.parametrize("change", ordinary_every(4, CHANGES), ids=lambda change: change.name)
async def test_a_change_that_forbids_an_item_passes_it_over_at_once(gateway: TestGateway, change: Change) -> None:
    assert await follow(gateway, change) is None


@pytest.mark.parametrize(
    ("table", "trigger", "change"),
    ordinary_every(
        5,
        [
            ("content", "offers_marked", ITEM),
            ("family", "offers_marked", NEW_FAMILY),
            ("family", "offers_marked_anew", FAMILY),
            ("account_standing", "offers_marked", STANDING),
            ("account_standing", "offers_arrived", NEW_STANDING),
            ("referenced_contact", "offers_marked", CONTACT),
            ("campaign_told", "offers_dropped", CAMPAIGN),
            ("policy", "offers_dropped", POLICY),
        ],
    ),
)
async def test_each_trigger_is_needed(
    gateway: TestGateway, killed: Killed, table: str, trigger: str, change: Change
) -> None:
    gateway.execute(f"ALTER TABLE grounds.{table} DISABLE TRIGGER {trigger}")
    killed(f"no trigger {trigger} on {table}", "offer.sql", await follow(gateway, change))


async def test_the_trigger_of_arrivals_is_needed(gateway: TestGateway, killed: Killed) -> None:
    gateway.set_clock(NOW)
    gateway.execute("ALTER TABLE grounds.content DISABLE TRIGGER offers_arrived")
    async with offers_of(gateway) as offers:
        await gateway.ingest([fact("account"), fact("notice")])
        offers.fold()
        await gateway.ingest([fact("content")])
        offers.fold()
        killed("no trigger offers_arrived on content", "offer.sql", "missing" if offers.missing() else None)


@pytest.mark.parametrize(
    ("view", "old", "new", "change"),
    ordinary_every(
        4,
        [
            ("offer_derivation", "(u.id * 4)", "((u.id * 4) + 3)", GRANDPARENT),
            ("offer_derivation", "(c.account * 4)", "((- c.account) * 4)", STANDING),
            ("offer_derivation", "COALESCE(((r.account * 4) + 1)", "COALESCE(((r.account * 4) + 3)", REFERENCED),
            ("offer_derivation", "((r.contact * 4) + 2)", "((r.contact * 4) + 3)", CONTACT),
            ("offered_content", "(m.place = ANY (o.depends_on))", "FALSE", ITEM),
            ("offered_content", "(s.country = ANY", "('' = ANY", HOLD),
        ],
    ),
)
async def test_each_dependency_is_needed(
    gateway: TestGateway, killed: Killed, view: str, old: str, new: str, change: Change
) -> None:
    ((body,),) = gateway.execute(f"SELECT pg_get_viewdef('grounds.{view}'::regclass)")
    assert old in body, f"{view} does not have: {old}"
    gateway.execute(
        f"CREATE OR REPLACE VIEW grounds.{view} WITH (security_barrier) AS {body.replace(old, new)}".replace("%", "%%")
    )
    killed(f"{new} for {old}", view, await follow(gateway, change))


async def test_what_a_member_of_a_family_references_is_marked_at_its_medium(
    gateway: TestGateway, killed: Killed
) -> None:
    alter(gateway, "mark_items()", ("UNION SELECT n.family FROM new_rows n WHERE n.concerns_family", ""),
          ("SELECT o.family FROM old_rows o WHERE o.concerns_family", "SELECT NULL::text AS family"))  # fmt: skip
    killed("no mark of the medium", "mark_items()", await follow(gateway, MEMBER))


async def test_a_page_of_offers_that_is_being_read_is_seen_by_those_who_look_for_recipients(
    gateway: TestGateway, killed: Killed
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    async with offers_of(gateway) as offers:
        offers.fold()
        assert await pages_seen(gateway) == 1
        alter(gateway, "pages_in_progress()", (", 'grounds.offer'::regclass", ""))
        killed(
            "pages of offers are not looked for", "pages_in_progress()", None if await pages_seen(gateway) else "none"
        )


async def pages_seen(gateway: TestGateway) -> int:
    """Read a page of offers, and count the pages in progress before it is committed."""
    ((client,),) = gateway.execute("SELECT grounds.register_client('client')::text")
    training = await asyncpg.connect(gateway.database_url, user=TRAINING, password=role_password(SECRET, TRAINING))
    try:
        async with training.transaction():
            used, values = narrowing(Filter())
            page = page_statement(used, PageForm(OFFERED))
            assert len(await training.fetch(page, client, "GENAI_TRAINING", 0, 10, MAX_ID, *values)) == 2
            with psycopg.connect(gateway.database_url, autocommit=True) as connection:
                row = connection.execute("SELECT cardinality(grounds.pages_in_progress())").fetchone()
                assert row is not None
                return int(row[0])
    finally:
        await training.close()


async def test_an_offer_without_a_mark_is_found_and_offers_stay_shut_until_they_were_switched_off(
    gateway: TestGateway, killed: Killed
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    async with offers_of(gateway) as offers:
        offers.fold()
        assert (offers.step("audit_offers", 10), offers.step("audit_offers", 10)) == (0, 0)
        gateway.execute("ALTER TABLE grounds.content DISABLE TRIGGER offers_marked")
        await gateway.ingest([fact("content", 3, deleted_at="2026-01-02T00:00:00Z")])
        assert offers.too_many()
        assert offers.step("audit_offers", 10) == 1
        gateway.execute("ALTER TABLE grounds.content ENABLE TRIGGER offers_marked")
        gateway.execute("UPDATE grounds.campaign_told SET told = told")
        assert built_anew(offers) == (1, 0), "the job fails on, and pages are read from the rules"
        assert not offers.too_many()
        alter(gateway, "audit_offers(integer)", ("SET state = 'FAULTY'", "SET state = 'DROPPED'"))
        gateway.execute("UPDATE grounds.offer_set SET state = 'SERVING', not_permitted = 0, audited_up_to = 0")
        assert offers.step("audit_offers", 10) == 0
        again = built_anew(offers)
        killed("a fault that is forgotten", "audit_offers()", None if again == (1, 0) else f"{again[1]} sets are built")
        offers.connection.execute("SELECT grounds.discard_offers()")
        assert built_anew(offers) == (0, 1)


def built_anew(offers: Offers) -> tuple[int, int]:
    """Let the jobs do what they do; return what the audit finds, and how many sets are read then."""
    while offers.step("fold_offers", 1000) + offers.step("build_offers", 1000):
        pass
    found = offers.step("audit_offers", 10)
    row = offers.connection.execute("SELECT count(*) FROM grounds.offer_set WHERE state = 'SERVING'").fetchone()
    assert row is not None
    return found, int(row[0])


async def test_a_page_that_is_compared_with_the_rules_shows_no_offer_without_a_mark(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(db.delivery.pages, "CHECKED_SHARE", 1)
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    async with offers_of(gateway) as offers:
        offers.fold()
        assert (len(await gateway.pull()), states(offers)) == (2, {"SERVING"})
        gateway.execute("ALTER TABLE grounds.content DISABLE TRIGGER offers_marked")
        await gateway.ingest([fact("content", 3, deleted_at="2026-01-02T00:00:00Z")])
        assert offers.too_many()
        assert (len(await gateway.pull()), states(offers)) == (1, {"FAULTY"})
        assert gateway.execute("SELECT item_count FROM grounds.delivery ORDER BY id") == [(2,), (1,)]
        assert offers.step("audit_offers", 10) == 1, "the job of the audit fails from then on"
        gateway.execute("UPDATE grounds.offer_set SET state = 'SERVING'")
        alter(gateway, "offers_agree(bigint[])", ("RETURN wrong = 0", "RETURN TRUE"), ("'FAULTY'", "'SERVING'"))
        killed(
            "a comparison that is passed over", "offers_agree()", "served" if len(await gateway.pull()) == 2 else None
        )


def states(offers: Offers) -> set[str]:
    """Read the states of the sets of offers."""
    return {state for (state,) in offers.connection.execute("SELECT state FROM grounds.offer_set")}


async def test_pages_are_read_from_offers_and_from_the_rules_where_there_are_none(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.delivery.pages, "CHECKED_SHARE", 0)
    gateway.set_clock(NOW)
    items = [fact("content", id=f"item-{number}") for number in range(5)]
    await gateway.ingest([fact("account"), fact("notice"), *items])
    async with offers_of(gateway) as offers:
        offers.fold()
        gateway.execute("ALTER VIEW grounds.trainable_content RENAME TO gone")
        by_offers = await gateway.pull(first=2)
        gateway.execute("ALTER VIEW grounds.gone RENAME TO trainable_content")
        offers.connection.execute("SELECT grounds.discard_offers()")
        by_the_rules = await gateway.pull(first=2)
    assert [item["id"] for item in by_offers] == [item["id"] for item in by_the_rules]
    assert len(by_offers) == 5


def test_an_offer_has_the_columns_of_its_derivation(database_url: str) -> None:
    columns = (
        "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'grounds.{}'::regclass"
        " AND attnum > {} AND NOT attisdropped ORDER BY attnum"
    )
    with psycopg.connect(database_url) as connection:
        stored = connection.execute(columns.format("offer", 1).encode()).fetchall()
        assert stored == connection.execute(columns.format("offer_derivation", 0).encode()).fetchall()
