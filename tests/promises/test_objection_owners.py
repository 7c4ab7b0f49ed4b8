"""An objection counts for many accounts, and is shown to one: the account that filed it, or that it names itself."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from app.auth.signed_links import LinkAction, link_path, sign_link
from db.access.declaration import SUBJECT
from db.connection import Database, open_database
from db.ingest.contacts import contact_hash
from db.oversight.objection_filing import ObjectionSubmitter, Target, file_objection
from db.vocabulary import ObjectionChannel, ObjectionScope, TargetKind
from schema.actor import Role
from tests.db.access.test_declaration import claim, login
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway

pytestmark = pytest.mark.database

SHARED = contact_hash("anna@example.org") or ""
ACCOUNT, PERSON, CONTACT = TargetKind
READERS = ("author", "sharer", "namesake", "linked", "former", "renamed", "stranger", "unknown")
# The objections, each with the account that may read and withdraw it. "by-form" is filed without a sign-in, by the name
# "author": the id of one account and the user name of another. So it counts for both, and names neither.
OWNERS = {
    "names": "author",
    "by-subject": "author",
    "by-form": None,
    "by-letter": "author",
    "renames": "author",
    "of-linked": "linked",
    "of-former": "former",
    "of-unknown": "unknown",
    "by-contact": None,
    "by-person": None,
    "form-contact": None,
    "officer-person": None,
    "matched": None,
    "bad": None,
}
PEOPLE: list[dict[str, Any]] = [
    fact("account", person="p", contacts=[SHARED]),
    fact("account", id="sharer", contacts=[SHARED]),
    fact("account", id="namesake", contacts=[contact_hash("author") or ""]),
    fact("account", id="linked", person="p"),
    fact("account", id="former", person="p"),
    fact("account", 3, id="former"),
    fact("account", id="renamed"),
    fact("account", id="stranger"),
]
NAMED = {
    "names": {"account": "author"},
    "renames": {"account": "renamed"},
    "of-linked": {"account": "linked"},
    "of-former": {"account": "former"},
    "of-unknown": {"account": "unknown"},
    "by-contact": {"contact": SHARED},
    "by-person": {"person": "p"},
    "matched": {"contact": "b" * 64},
}
POSITION = """{ viewer { objections { id scope receivedAt } account { consent {
  position since objections { id scope receivedAt } events(first: 100) { nodes { kind occurredAt } }
} } } }"""
WITHDRAW = "mutation Withdraw($name: String!) { withdrawObjection(reference: $name) { reference } }"


@pytest.fixture
async def database(gateway: TestGateway) -> AsyncIterator[Database]:
    async with open_database(gateway.database_url, SECRET) as opened:
        yield opened


@pytest.fixture
async def references(gateway: TestGateway, database: Database) -> dict[str, str]:
    """File every objection of OWNERS, each received at an instant of its own, and give their references."""
    gateway.set_clock(NOW)
    lines = [_objection(name, target) for name, target in NAMED.items()]
    lines.append(_objection("renames", {"account": "author"}, 3))
    lines.append(_objection("bad", {"account": "author", "scope": "SOME"}))
    answer = await gateway.ingest([*PEOPLE, *lines])
    assert answer["total"]["rejected"] == 1
    officer, form = ObjectionSubmitter.officer(database, "officer"), ObjectionSubmitter.form(database)
    filed = {
        "by-subject": (ObjectionSubmitter.subject(database, "author"), Target(ACCOUNT, "author")),
        "by-form": (form, Target(CONTACT, contact_hash("author") or "")),
        "by-letter": (officer, Target(ACCOUNT, "author")),
        "form-contact": (form, Target(CONTACT, SHARED)),
        "officer-person": (officer, Target(PERSON, "p")),
    }
    known = {name: name for name in (*NAMED, "bad")}
    for name, (submitter, target) in filed.items():
        gateway.set_clock(NOW + _offset(name))
        known[name] = (await file_objection(submitter, target, ObjectionScope.ALL, ObjectionChannel.FORM)).reference
    gateway.set_clock(NOW + timedelta(minutes=len(OWNERS)))
    page = await gateway.ask(Role.PRIVACY_OFFICER, "{ unmatchedObjections(first: 9) { nodes { id reference } } }")
    (unmatched,) = [node for node in page["unmatchedObjections"]["nodes"] if node["reference"] == "matched"]
    match = 'mutation Match($id: ID!) { matchObjection(id: $id, account: "author") { reference } }'
    await gateway.ask(Role.PRIVACY_OFFICER, match, {"id": unmatched["id"]})
    assert known.keys() == OWNERS.keys()
    return known


def _offset(name: str) -> timedelta:
    return timedelta(minutes=list(OWNERS).index(name))


def _objection(name: str, fields: dict[str, str], day: int = 2) -> dict[str, Any]:
    return fact("objection", day, id=name) | fields | {"received_at": (NOW - DAY + _offset(name)).isoformat()}


def _owned(reader: str) -> set[str]:
    return {name for name, owner in OWNERS.items() if owner == reader}


async def test_only_its_own_account_reads_or_withdraws_an_objection(
    gateway: TestGateway, references: dict[str, str]
) -> None:
    received = dict(gateway.execute("SELECT platform_id, received_at FROM grounds.objection"))
    variants = 0
    for reader in READERS:
        own = {received[references[name]] for name in _owned(reader)}
        await _reads(gateway, reader, own if reader != "unknown" else set())
        expected = {references[name] for name in _owned(reader)}
        assert await _page(gateway, reader) == (expected if reader != "unknown" else set())
        refusals = set()
        for name, reference in references.items():
            variants += 1
            if OWNERS[name] == reader:
                continue
            answer = (await gateway.post(Role.DATA_SUBJECT, WITHDRAW, {"name": reference}, subject=reader)).json()
            refusals.add(answer["errors"][0]["message"])
        assert len(refusals) == 1, "one that counts for the reader is refused like one that does not"
    assert variants == len(READERS) * len(OWNERS)
    assert gateway.execute("SELECT count(*) FROM grounds.objection WHERE withdrawn_at IS NOT NULL") == [(0,)]
    for name, owner in OWNERS.items():
        if owner is not None:
            done = await gateway.ask(Role.DATA_SUBJECT, WITHDRAW, {"name": references[name]}, subject=owner)
            assert done["withdrawObjection"] == {"reference": references[name]}


async def _reads(gateway: TestGateway, reader: str, own: set[Any]) -> None:
    """Check that the API shows a reader exactly the objections received at these instants, and their events."""
    viewer = (await gateway.ask(Role.DATA_SUBJECT, POSITION, subject=reader))["viewer"]
    expected = sorted(instant.isoformat() for instant in own)
    assert _instants(viewer["objections"], "receivedAt") == expected, reader
    if viewer["account"] is None:
        assert reader == "unknown"
        return
    consent = viewer["account"]["consent"]
    assert _instants(consent["objections"], "receivedAt") == expected
    assert _instants(consent["events"]["nodes"], "occurredAt") == expected
    assert consent["position"] == ("NOT_NOTICED" if reader == "stranger" else "OBJECTED"), reader
    assert consent["since"] == (min(node["receivedAt"] for node in consent["objections"]) if own else None)


def _instants(nodes: list[dict[str, Any]], field: str) -> list[str]:
    return sorted(node[field].replace("Z", "+00:00") for node in nodes)


async def _page(gateway: TestGateway, reader: str) -> set[str]:
    """Return the references on /me by a signed link of the reader's; /object by one shows nothing of what was filed."""
    until = NOW + DAY
    form = link_path(sign_link(SECRET, reader, LinkAction.OBJECT, until), LinkAction.OBJECT, "en")
    answer = await gateway.client.get(form)
    assert answer.status_code == 200
    assert "filed-" not in answer.text
    token = await gateway.reading_token(reader)
    mine = await gateway.client.get(link_path(token, LinkAction.ME, "en"))
    assert mine.status_code == 200
    return set(re.findall('<span class="reference">(.*?)</span>', mine.text))


async def test_row_security_shows_a_data_subject_the_own_objections_alone(
    gateway: TestGateway, references: dict[str, str]
) -> None:
    numbers = dict(gateway.execute("SELECT platform_id, id FROM grounds.objection"))
    accounts = [number for (number,) in gateway.execute("SELECT id FROM grounds.account")]
    with login(gateway.database_url, SUBJECT) as connection:
        for reader in READERS:
            claim(connection, "subject", reader)
            own = sorted(numbers[references[name]] for name in _owned(reader))
            for relation in ("objection", "objection_in_force"):
                assert _numbers(connection, f"SELECT id FROM grounds.{relation}") == own, (reader, relation)
            events = "SELECT DISTINCT objection FROM grounds.consent_event WHERE objection IS NOT NULL"
            assert _numbers(connection, events) == own
            reaching = "SELECT o FROM unnest(%s::bigint[]) a CROSS JOIN LATERAL grounds.objections_affecting(a) o"
            assert _numbers(connection, reaching, accounts) == (own if reader != "unknown" else [])


async def test_objections_that_follow_links_are_noticed(gateway: TestGateway, references: dict[str, str]) -> None:
    gateway.execute(
        "CREATE OR REPLACE FUNCTION grounds.own_objections() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS 'SELECT n.objection"
        " FROM grounds.accounts_of_person(grounds.claimed_account()) a, grounds.objections_naming(a) n'"
    )
    with pytest.raises(AssertionError):
        await _reads(gateway, "stranger", {NOW})
    with pytest.raises(AssertionError):
        await _reads(gateway, "sharer", set())
    answer = await gateway.ask(Role.DATA_SUBJECT, WITHDRAW, {"name": references["by-contact"]}, subject="sharer")
    assert answer["withdrawObjection"] == {"reference": "by-contact"}, "the check above would have passed over this"


def _numbers(connection: "psycopg.Connection[tuple[Any, ...]]", query: str, *values: Any) -> list[int]:
    return sorted(row[0] for row in connection.execute(query.encode(), values))
