"""Break the gateway on purpose, one rule at a time, and show that the comparison with the oracle notices.

A mutant is an edit of SQL: of the compiled views, of a function of the standing, or of a named query that merges.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from uuid import uuid4

import aiosql
import psycopg
import pytest

from db.ingest.merge import queries
from db.policy.compile import bind_predicate, compiled_views, conditions_of
from db.policy.document import parse_policy
from tests.promises.oracle import World
from tests.support.agreement import Disagreement, compare, enforce, explain, load, reading
from tests.support.gateway import TestGateway, open_gateway
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.turning_cases import INSTANTS, POLICY, batch_of_cases

ENFORCED = parse_policy(json.dumps(POLICY))
NOW, CHANGED = "(SELECT grounds.decision_time())", "(s.outcome IS NULL OR s.outcome = 'changed')"
PAGE, DECISION, VIEWS = "the page's view", "the decision's view", "both views"
# What others imply of each permitted item (both in the past, it is settled; a period ends after its notice), and what
# the comparison cannot see, for it always asks as one client that may ask (tests/promises/test_laws.py asks as others).
NOT_SEEN = {"AUTHOR_ADULT_NOW", "NOTICE_DELIVERED", "PURPOSE_MATCH"}


@dataclass(frozen=True)
class Mutant:
    """An edit: its place, the text there, and the text that replaces it."""

    name: str
    where: str
    old: str
    new: str


def clauses() -> Iterator[Mutant]:
    """Drop each condition from the page, and from the page alone."""
    for condition in conditions_of(ENFORCED):
        if condition.code not in NOT_SEEN:
            rule = bind_predicate(condition, ENFORCED, unclaimed="TRUE")
            yield Mutant(f"no {condition.code} in the page", PAGE, rule, "TRUE")


OF_VIEWS = [
    Mutant("a programme that begins a tick late", VIEWS, f"{NOW} >= timestamptz", f"{NOW} > timestamptz"),
    Mutant("a programme that ends a tick late", VIEWS, f"{NOW} < timestamptz", f"{NOW} <= timestamptz"),
    Mutant("a status that waits a tick longer", VIEWS, "s.status_since <=", "s.status_since <"),
    Mutant("an account that waits a tick longer", VIEWS, "s.reverted_at <=", "s.reverted_at <"),
    Mutant("an item that waits a tick longer", VIEWS, "f.reverted_at) <=", "f.reverted_at) <"),
    Mutant("an account that need not wait", VIEWS, "s.reverted_at <= ", "TRUE OR now() = "),
    Mutant("a minor by the own account only", VIEWS, f"s.minor_until <= {NOW} AND", ""),
    Mutant("a minor at creation by the own account only", VIEWS, "s.minor_until <= c.created_at AND", ""),
    Mutant("an adult a tick late", VIEWS, f"s.adult_from <= {NOW})", f"s.adult_from < {NOW})"),
    Mutant("an adult at creation a tick late", VIEWS, "s.adult_from <= c.created_at", "s.adult_from < c.created_at"),
    Mutant("an adult by any account", VIEWS, f"s.minor_until <= {NOW} AND", f"s.minor_until <= {NOW} OR"),
    Mutant("a notice a tick late", VIEWS, "s.notice_delivered_at <=", "s.notice_delivered_at <"),
    Mutant("a notice period that ends a tick late", VIEWS, "s.notice_effective_from <=", "s.notice_effective_from <"),
    Mutant("an objection that lasts a tick longer", VIEWS, "END <= (SELECT", "END < (SELECT"),
    Mutant("an objection over once withdrawn", VIEWS, "- interval '336 hours'", ""),
    Mutant("objections of either scope for prompts", VIEWS, "THEN s.objected_ai_until", "THEN s.objected_public_until"),
    Mutant("objections of either scope for posts", VIEWS, "ELSE s.objected_public_until", "ELSE s.objected_ai_until"),
    Mutant("an unknown author who did not object", VIEWS, "hours') AND s.is_known)", "hours'))"),
    Mutant("an unknown person named who did not object", VIEWS, "AND o.is_known", ""),
    Mutant("no quarantine of accounts", VIEWS, "(NOT s.quarantined OR NULL)", "TRUE"),
    Mutant("a quarantine that fails", VIEWS, "(NOT s.quarantined OR NULL)", "NOT s.quarantined"),
    Mutant("no quarantine of items", VIEWS, "(c.quarantined_at < c.observed_at OR NULL)", "TRUE"),
    Mutant("no quarantine of parents", VIEWS, "AND (p.quarantined_at < p.observed_at OR NULL)", ""),
    Mutant("a quarantine that ends at its instant", VIEWS, "quarantined_at < c.observ", "quarantined_at <= c.observ"),
    Mutant("comments without a parent", VIEWS, "c.kind NOT IN ('COMMENT', 'CAPTION') OR NULL", "TRUE"),
    Mutant("captions without a parent", VIEWS, "c.kind NOT IN ('COMMENT', 'CAPTION')", "c.kind <> 'COMMENT'"),
    Mutant("parents without a parent", VIEWS, "p.kind NOT IN ('COMMENT', 'CAPTION') OR NULL", "TRUE"),
    Mutant("the nearest parent only", VIEWS, "TRUE = ALL (array_agg(u.is_public)) AND", ""),
    Mutant("chains without an end", VIEWS, "(bool_or(u.is_top) OR NULL)", "TRUE"),
    Mutant("a chain of 65 parents", VIEWS, "u.place < 64", "u.place < 65"),
    Mutant("a chain of 63 parents only", VIEWS, "u.place < 64", "u.place < 63"),
    Mutant("conversations with others", VIEWS, "c.conversation = 'ASSISTANT_ONLY'", "c.conversation IS NOT NULL"),
    Mutant("media not scanned for minors", VIEWS, "AND NOT c.needs_minors_scan", ""),
    Mutant("no reservation of the family", VIEWS, "(f.id IS NULL OR f.unreserved)", "TRUE"),
    Mutant("no special category of the family", VIEWS, "(f.id IS NULL OR f.no_special_category)", "TRUE"),
    Mutant("no danger of the family", VIEWS, "(f.id IS NULL OR f.safe)", "TRUE"),
    Mutant("no minor seen in the family", VIEWS, "(f.id IS NULL OR f.no_minor)", "TRUE"),
    Mutant("nobody named by the family", VIEWS, "f.reference_count = c.reference_count OR CASE", "TRUE OR CASE"),
    Mutant("no doubt of the family", VIEWS, "f.quarantined <= (c.quarantined_at >= c.observed_at)::int OR", "TRUE OR"),
    Mutant("no dwell of the family", VIEWS, "greatest(c.reverted_at, f.reverted_at)", "c.reverted_at"),
    Mutant("comments under what is deleted", VIEWS, "AND p.deleted_at IS NULL", ""),
    Mutant("comments under what is live or public", VIEWS, "'PUBLIC' AND p.deleted_at", "'PUBLIC' OR p.deleted_at"),
    Mutant("nobody named", VIEWS, "NOT c.has_references OR", "TRUE OR"),
    Mutant("one harmless person named is enough", VIEWS, "TRUE = ALL", "TRUE = ANY"),
    Mutant("a person named who is adult a tick late", VIEWS, f"o.adult_from <= {NOW}", f"o.adult_from < {NOW}"),
    Mutant("a minor named by the own account only", VIEWS, f"o.minor_until <= {NOW} AND", ""),
    Mutant("an audience that waits a tick longer", VIEWS, "c.audience_since <=", "c.audience_since <"),
    Mutant("an item that settles a tick late", VIEWS, "c.settled_at <=", "c.settled_at <"),
    Mutant("an unknown country held by nobody", VIEWS, "NOT s.country = ANY", "NOT coalesce(s.country, '') = ANY"),
    Mutant("a hold over once lifted", VIEWS, "decision_time() - interval '24 hours')", "decision_time())"),
    Mutant("a hold that lasts a tick longer", VIEWS, "'infinity') > grounds.dec", "'infinity') >= grounds.dec"),
    Mutant("an account's hold that lasts a tick longer", VIEWS, "s.held_until <=", "s.held_until <"),
    Mutant("a picture that nobody looked at", VIEWS, "c.media_deidentified", "c.media_deidentified IS NOT FALSE"),
    Mutant("every product", VIEWS, "s.product IN ('FACEBOOK', 'INSTAGRAM')", "s.product IS NOT NULL"),
    Mutant(
        "consent beside an objection",
        VIEWS,
        "ELSE s.objected_public",
        "WHEN c.kind = 'VIDEO' THEN '-infinity' ELSE s.objected_public",
    ),
    Mutant("consent a tick late", VIEWS, "s.opted_in_since <=", "s.opted_in_since <"),
    Mutant("one verdict of two", DECISION, 'd."AUDIENCE_PUBLIC" AND d."AUDIENCE_STABLE"', 'd."AUDIENCE_PUBLIC"'),
]
OF_STANDINGS = [
    Mutant("notices that bounced", "notices_of", "n.bounced_at IS NULL AND ", ""),
    Mutant("later epochs only", "notices_of", "n.epoch >= ", "n.epoch > "),
    Mutant("the latest notice", "notices_of", "min(n.delivered_at)", "max(n.delivered_at)"),
    Mutant("consents withdrawn", "standing_of", "w.withdrawn_at >= c.given_at", "w.withdrawn_at > c.given_at"),
    Mutant("any one withdrawal", "said_of_person", "max(coalesce(o.withdrawn_at, ", "min(coalesce(o.withdrawn_at, "),
    Mutant("prompts under each objection", "said_of_person", "(WHERE o.scope <> 'PUBLIC_CONTENT')", "(WHERE TRUE)"),
    Mutant("lifted holds on accounts", "standing_of", "max(coalesce(h.lifted_at, 'infinity'))", "max(h.lifted_at)"),
    Mutant(
        "a birth date taken back elsewhere",
        "standing_of",
        "greatest(a.reverted_at, k.birth_date_reverted_at)",
        "a.reverted_at",
    ),
    Mutant("a person's best birth date", "refresh_persons", "(SELECT max(m.adult_from)", "(SELECT min(m.adult_from)"),
    Mutant(
        "bad lines of accounts", "standing_of", "grounds.is_set_aside('account', a.platform_id, a.observed_at)", "FALSE"
    ),
    Mutant(
        "bad lines of notices", "notices_of", "NOT grounds.is_set_aside('notice'", "NOT grounds.is_set_aside('none'"
    ),
    Mutant(
        "bad lines of consents", "standing_of", "NOT grounds.is_set_aside('consent'", "NOT grounds.is_set_aside('none'"
    ),
    Mutant("objections by a contact", "objections_naming", "'CONTACT'", "'NONE'"),
    Mutant("objections by a person", "objections_naming", "'PERSON'", "'NONE'"),
    Mutant(
        "contacts' own objections", "contact_standing_of", "coalesce(own.objected_until, '-infinity')", "'-infinity'"
    ),
    Mutant("the best age of a contact", "contact_standing_of", "max(s.minor_until)", "min(s.minor_until)"),
    Mutant("an age for a contact", "contact_standing_of", "WHEN a.aged = a.accounts THEN", "ELSE"),
    Mutant("bad objections", "objection_in_force", "quarantined_at < observed_at", "TRUE"),
]
FAILING = "k.failing_facts, k.unknown_facts,\n            coalesce(k.last_failing_facts, k.failing_facts)"
OF_LOADS = [
    Mutant("a year's first day", "adult_from", "12, 31, 12", "1, 1, 12"),
    Mutant("a month's first day", "adult_from", "'1 mon'", "'1 day'"),
    Mutant("links to persons", "merge_account.sql", "WHERE s.person IS NOT NULL", "WHERE FALSE"),
    Mutant("a person's other accounts", "refresh_persons", "RETURN coalesce(changed, '{}')", "RETURN '{}'"),
    Mutant("accounts of one person", "connected_pairs", "WHERE newcomer <>", "WHERE FALSE AND newcomer <>"),
    Mutant("links in stale lines", "merge_account.sql", "WHERE s.person IS", "WHERE s.outcome IS NULL AND s.person IS"),
    Mutant("a second contact", "merge_account.sql", "c.contact = stated.contact", "c.contact = c.contact"),
    Mutant("compromises taken back", "takes_back", "NOT before.compromised <@ after.compromised", "FALSE"),
    Mutant("references taken back", "takes_back", "NOT before.names <@ after.names", "FALSE"),
    Mutant(
        "birth dates taken back",
        "taking_back.sql",
        "k.adult_from, coalesce(k.last_adult_from, k.adult_from)",
        "NULL, NULL",
    ),
    Mutant("accounts' deletions taken back", "taking_back.sql", "(k.status <> 'ACTIVE')::int", "0"),
    *(
        Mutant(
            f"{fact} taken back", "taking_back.sql", FAILING, f"k.failing_facts & ~{bit}, 0, k.failing_facts & ~{bit}"
        )
        for fact, bit in (
            ("deletions", 1),
            ("reservations", 2),
            ("flags", 8),
            ("flags for minors", 16),
            ("audiences", 32),
        )
    ),
    Mutant("facts of late lines", "taking_back.sql", "s.outcome IN ('changed', 'stale')", "s.outcome = 'changed'"),
    Mutant("dwells of late lines", "taking_back.sql", "s.outcome = 'stale' AND s.takes_back AND", "FALSE AND"),
    Mutant(
        "private once", "merge_content.sql", "'PRIVATE_MESSAGE' IN (l.kind, k.kind) OR", "l.kind = 'PRIVATE_MESSAGE' OR"
    ),
    Mutant("private unless late", "merge_content.sql", "s.outcome IN ('stale', 'conflict')", "FALSE"),
    Mutant("stale lines", "merge.sql", "THEN 'stale'", "THEN 'changed'"),
    Mutant("conflicts stored", "merge.sql", "ELSE 'conflict' END", "ELSE 'changed' END"),
    Mutant("conflicts not seen", "merge.sql", "ELSE 'conflict' END", "ELSE 'unchanged' END"),
    Mutant("names dropped", "merge_content.sql", "AND r.content = c.id", "AND r.content = c.id AND FALSE"),
    Mutant("names added", "merge_content.sql", CHANGED, "s.outcome IS NULL"),
    Mutant("bounces taken back", "taking_back.sql", "(k.bounced_at IS NOT NULL)::int", "0"),
    Mutant(
        "bounces of a notice moved meanwhile", "bounces_taken_back", "AND (v.bounced OR v.account = after.account)", ""
    ),
    Mutant("bounces taken back once", "bounces_taken_back", "(v.bounced OR v.account = after.account)", "v.bounced"),
    Mutant("families that an item left", "taking_back.sql", "'family ' || f.current", "NULL"),
    Mutant(
        "posts that lose a caption",
        "taking_back.sql",
        "WHERE coalesce(c.stated_kind, c.kind) IN ('PHOTO', 'VIDEO', 'AUDIO')",
        "WHERE c.kind <> 'CAPTION'",
    ),
    Mutant("later targets", "merge_objection.sql", "WHERE target.value", "WHERE s.outcome IS NULL AND target.value"),
    Mutant("withdrawn before received", "merge_objection.sql", "WHERE s.withdrawn_at <= s.received_at", "WHERE FALSE"),
    Mutant("targets of bad lines", "quarantine.sql", "r.record = 'objection' AND target", "FALSE AND target"),
    Mutant("bad lines of items", "quarantine.sql", "greatest(c.quarantined_at, f.observed_at)", "c.quarantined_at"),
    Mutant("a conflict once only", "merge.sql", " || timestamptz_send(observed_at)", ""),
    *(
        Mutant(f"changes that {trigger} tells of", "trigger", "", trigger)
        for trigger in (
            *("account.changed", "account_person.linked", "account_contact.linked", "notice.arrived", "notice.changed"),
            *("consent.arrived", "consent.changed", "objection_target.targeted", "objection.changed", "hold.opened"),
            *("referenced_contact.arrived", "quarantine.set_aside", "content.family_arrived", "content.family_changed"),
        )
    ),
]


@pytest.fixture(scope="module")
def loaded(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, World]]:
    """A database with every case in it, and the oracle's world of the same; a test rolls back what it breaks."""
    name = f"mutants_{uuid4().hex}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_of_tests STRATEGY file_copy".encode())
        url = f"{cluster.rpartition('/')[0]}/{name}"
        yield url, asyncio.run(_load(url, tmp_path_factory.mktemp("mutants")))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def _load(url: str, data: Path) -> World:
    async with open_gateway(url, data) as gateway:
        oracle, found = await _load_cases(gateway)
    assert not found
    return oracle


async def _load_cases(gateway: TestGateway) -> tuple[World, list[Disagreement]]:
    batch = batch_of_cases()
    await enforce(gateway, batch)
    return await load(gateway, batch)


async def test_the_gateway_as_it_is_agrees_with_the_oracle_on_every_case(gateway: TestGateway) -> None:
    oracle, found = await _load_cases(gateway)
    with reading(gateway.database_url) as connection:
        decided, differing = compare(connection, oracle, INSTANTS)
    found += differing
    assert not found, await explain(gateway, batch_of_cases(), found)
    assert decided > 700


@pytest.mark.parametrize(
    "mutant", ordinary_every(4, [*clauses(), *OF_VIEWS, *OF_STANDINGS]), ids=lambda mutant: mutant.name
)
def test_a_gateway_that_decides_otherwise_is_caught(loaded: tuple[str, World], mutant: Mutant, killed: Killed) -> None:
    url, oracle = loaded
    with reading(url) as connection, connection.transaction(force_rollback=True):
        install(connection, mutant)
        if mutant in OF_STANDINGS:
            connection.execute("SELECT grounds.derive_standings(ARRAY(SELECT id FROM grounds.account), '{}', 100000)")
            connection.execute("SELECT grounds.refresh_contacts(ARRAY(SELECT contact FROM grounds.referenced_contact))")
        killed(mutant.name, mutant.where, differs(connection, oracle))


@pytest.mark.parametrize("mutant", ordinary_every(13, OF_LOADS), ids=lambda mutant: mutant.name)
async def test_a_gateway_that_loads_otherwise_is_caught(
    gateway: TestGateway, mutant: Mutant, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    if mutant.where.endswith(".sql"):
        text = resources.files("db").joinpath("ingest", "queries", mutant.where).read_text()
        changed = aiosql.from_str(edited(text, mutant), "asyncpg", mandatory_parameters=False)
        for name in changed.available_queries:
            monkeypatch.setattr(queries, name, getattr(changed, name))
    else:
        with psycopg.connect(gateway.database_url, autocommit=True) as connection:
            install(connection, mutant)
    oracle, found = await _load_cases(gateway)
    with reading(gateway.database_url) as connection:
        killed(mutant.name, mutant.where, killer(found) or differs(connection, oracle))


def differs(connection: psycopg.Connection, oracle: World) -> str | None:
    """Return where the two decide differently, at the first instant at which they do."""
    return next((said for at in INSTANTS if (said := killer(compare(connection, oracle, [at])[1]))), None)


def killer(found: list[Disagreement]) -> str | None:
    """Describe the difference that killed a mutant."""
    return f"the oracle: {found[0].where}, {found[0].expected} and not {found[0].got}" if found else None


def install(connection: psycopg.Connection, mutant: Mutant) -> None:
    """Put a mutant in the place of what it is made from."""
    if mutant.where in (PAGE, DECISION, VIEWS):
        bodies = compiled_views(ENFORCED)
        for name in {PAGE: ["trainable_content"], DECISION: ["decision"]}.get(
            mutant.where, ["trainable_content", "decision"]
        ):
            body = edited(bodies[name], mutant)
            connection.execute(f"CREATE OR REPLACE VIEW grounds.{name} WITH (security_barrier) AS {body}".encode())
    elif mutant.where == "trigger":
        table, _, trigger = mutant.new.partition(".")
        connection.execute(f"ALTER TABLE grounds.{table} DISABLE TRIGGER {trigger}".encode())
    elif mutant.where == "objection_in_force":
        (text,) = _row(connection, "SELECT pg_get_viewdef('grounds.objection_in_force'::regclass)")
        connection.execute(f"CREATE OR REPLACE VIEW grounds.objection_in_force AS {edited(text, mutant)}".encode())
    else:
        (text,) = _row(connection, f"SELECT pg_get_functiondef('grounds.{mutant.where}'::regproc)")
        connection.execute(edited(text, mutant).encode())


def edited(text: str, mutant: Mutant) -> str:
    """Make the edit; a mutant that no longer finds its place fails here."""
    assert mutant.old in text, f"{mutant.where} no longer says {mutant.old!r} (let the mutant edit what it says now)"
    return text.replace(mutant.old, mutant.new)


def _row(connection: psycopg.Connection, query: str) -> tuple[str, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
