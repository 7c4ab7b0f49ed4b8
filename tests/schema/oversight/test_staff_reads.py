"""No officer or auditor reads about people unrecorded: the record is committed before the answer, sealed, and shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from db.access.declaration import STAFF
from db.connection import PeopleRead
from db.delivery.ledger import Audit, seal_receipts, signing_key, verify_chain
from db.secrets import role_password
from schema.actor import Role
from schema.build import build_schema
from schema.context import Context
from schema.oversight import read_reasons
from schema.relay.ids import IdKind
from tests.support.canaries import readings
from tests.support.database_sessions import administering, working
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter
from tests.support.shared_server import SharedServer

ITEM = "id eligibility { permitted } account { id } recipients { client }"
QUERIES = {
    "accounts": "{ accounts(first: 10) { nodes { id } } }",
    "account": '{ account(id: "author") { id consent { position } } }',
    "contents": f"{{ contents(first: 10) {{ nodes {{ {ITEM} }} }} }}",
    "content": f'{{ content(id: "theirs") {{ {ITEM} timeline(first: 5) {{ nodes {{ kind }} }} }} }}',
    "eligibility": '{ eligibility(contentId: "own") { permitted } }',
    "holds": "{ holds(first: 10) { nodes { id value } } }",
    "objections": "{ objections(first: 10) { nodes { id } } }",
    "canaries": "{ canaries { contentId } }",
    "consentEvents": '{ account(id: "author") { id contents(first: 3) { nodes { id } } } }',
}
ABOUT_NOBODY = "{ policy { version } holds(first: 10, open: true) { nodes { id } } clients { name } viewer { name } }"
READS = "{ staffReads(first: 100) { nodes { reader role fields reason accounts objections } } }"


@pytest.fixture
async def read_gateway(gateway: TestGateway) -> TestGateway:
    """Two people with an item each; one has objected."""
    gateway.set_clock(NOW)
    theirs = [fact("account", id="b"), fact("content", id="theirs", account="b"), fact("notice", id="n2", account="b")]
    own = [fact("account"), fact("notice"), fact("content", id="own"), fact("objection", id="o", account="author")]
    assert (await gateway.ingest([*own, *theirs]))["total"]["rejected"] == 0
    gateway.execute(
        "INSERT INTO grounds.canary (item, reason, planted_by, planted_at)"
        " SELECT id, 'A reason', 'operator', now() FROM grounds.content WHERE platform_id = 'own'"
    )
    return gateway


async def unrecorded(gateway: TestGateway) -> list[str]:
    """Ask each query as each role; return what an answer named and no record of that request has."""
    missed = []
    for role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
        for name, query in QUERIES.items():
            if name == "canaries" and role is Role.AUDITOR:
                continue
            before = gateway.execute("SELECT coalesce(max(id), 0) FROM grounds.staff_read")[0][0]
            answer = await gateway.post(role, query)
            assert "errors" not in answer.json(), answer.text
            found = {(kind, number) for kind, number in readings(answer.text, "staff")}
            assert found or name in ("eligibility", "holds"), answer.text
            recorded = _recorded(gateway, before)
            kinds = (IdKind.ACCOUNT, IdKind.CONTENT, IdKind.OBJECTION)
            missed += [f"{role} {name}: {kind.name} {n}" for kind, n in found - recorded if kind in kinds]
            if name == "eligibility" and not recorded:
                missed.append(f"{role} {name}")
    return missed


def _recorded(gateway: TestGateway, before: int) -> set[tuple[IdKind, int]]:
    accounts = gateway.execute("SELECT account FROM grounds.staff_read_account WHERE staff_read > %s", before)
    items = gateway.execute(
        "SELECT c.id FROM grounds.staff_read_account a JOIN grounds.content c USING (account) WHERE staff_read > %s",
        before,
    )
    objections = gateway.execute("SELECT unnest(objections) FROM grounds.staff_read WHERE id > %s", before)
    found = ((IdKind.ACCOUNT, accounts), (IdKind.CONTENT, items), (IdKind.OBJECTION, objections))
    return {(kind, number) for kind, rows in found for (number,) in rows}


async def test_whatever_is_read_about_people_is_recorded_before_it_is_answered(read_gateway: TestGateway) -> None:
    assert await unrecorded(read_gateway) == []
    count = read_gateway.execute("SELECT count(*) FROM grounds.staff_read")
    await read_gateway.ask(Role.PRIVACY_OFFICER, ABOUT_NOBODY)
    assert read_gateway.execute("SELECT count(*) FROM grounds.staff_read") == count


@pytest.mark.parametrize("forgotten", ["all", "accounts", "items", "objections"])
async def test_a_build_that_reads_unrecorded_is_noticed(
    read_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed, forgotten: str
) -> None:
    if forgotten == "all":

        async def nothing(*_: Any) -> None: ...

        monkeypatch.setattr(Context, "record_reads", nothing)
    else:

        class Forgetting(set[int]):
            def update(self, *_: Any) -> None: ...
            def add(self, _: int) -> None: ...

        made = PeopleRead.__init__

        def forgetful(self: PeopleRead) -> None:
            made(self, **{forgotten: Forgetting()})

        monkeypatch.setattr(PeopleRead, "__init__", forgetful)
    found = await unrecorded(read_gateway)
    killed(f"reads of staff without {forgotten}", "record_reads()", found[0] if found else None)


async def test_an_auditor_sees_who_read_what_and_why(read_gateway: TestGateway) -> None:
    body = {"query": QUERIES["account"], "extensions": {"reason": "case 17"}}
    headers = {"Authorization": f"Bearer {read_gateway.token(Role.PRIVACY_OFFICER, name='ada')}"}
    assert (await read_gateway.client.post("/graphql", json=body, headers=headers)).status_code == 200
    (seen,) = (await read_gateway.ask(Role.AUDITOR, READS))["staffReads"]["nodes"]
    assert seen == {
        "reader": "ada",
        "role": "PRIVACY_OFFICER",
        "fields": ["account"],
        "reason": "case 17",
        "accounts": 1,
        "objections": 0,
    }
    pages = '{ account(id: "author") { staffReads(first: 1) { nodes { reader } pageInfo { hasNextPage endCursor } } } }'
    await read_gateway.ask(Role.AUDITOR, QUERIES["account"])
    page = (await read_gateway.ask(Role.AUDITOR, pages))["account"]["staffReads"]
    assert page["pageInfo"]["hasNextPage"]
    later = pages.replace("first: 1", f'first: 1, after: "{page["pageInfo"]["endCursor"]}"')
    assert (await read_gateway.ask(Role.AUDITOR, later))["account"]["staffReads"]["nodes"] == [{"reader": "ada"}]


@pytest.fixture
async def strict_gateway(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway that requires reasons, with an account and its item."""
    async with shared_server.gateway(reason_required=True) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest([fact("account"), fact("content", id="own")])
        yield gateway


async def answered_without_a_reason(gateway: TestGateway) -> list[str]:
    """Send reads of people's data, hidden in fragments too, without a reason; return those that are not refused."""
    queries = [*QUERIES.values(), "{ ...F ...F } fragment F on Query { ... { ... on Query { a: accounts(first: 1) {"]
    queries[-1] += " nodes { id } } } } }"
    queries += ['mutation { openHold(scope: GLOBAL, authority: "A", reason: "B") { id } }']
    passed = []
    for query in queries:
        for reason in (None, "", "  "):
            answer = await _state(gateway, query, reason)
            error = answer.json().get("errors", [{"message": "none"}])[0]
            if error.get("extensions", {}).get("code") != "REASON_REQUIRED" or "data" in answer.json():
                passed.append(f"{query}: {error['message']}")
    return passed


async def _state(gateway: TestGateway, query: str, reason: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {gateway.token(Role.PRIVACY_OFFICER)}"}
    body = {"query": query, "extensions": {"reason": reason}}
    return await gateway.client.post("/graphql", json=body, headers=headers)


async def test_a_read_without_the_required_reason_is_refused_before_anything_is_read(
    strict_gateway: TestGateway,
) -> None:
    assert await answered_without_a_reason(strict_gateway) == []
    assert strict_gateway.execute("SELECT (SELECT count(*) FROM grounds.staff_read), count(*) FROM grounds.hold") == [
        (0, 0)
    ]
    refused = (await _state(strict_gateway, QUERIES["account"], None)).json()["errors"][0]["message"]
    assert refused.startswith("extensions.reason: is missing, and account reads people's data (")
    for query in QUERIES.values():
        assert "errors" not in (await _state(strict_gateway, query, " case 17 ")).json(), query
    assert strict_gateway.execute("SELECT DISTINCT reason FROM grounds.staff_read") == [("case 17",)]
    await strict_gateway.ask(Role.PRIVACY_OFFICER, "{ policy { version } clients { name } viewer { name } }")
    await strict_gateway.ask(Role.DATA_SUBJECT, '{ account(id: "author") { id } }', subject="author")


async def test_a_build_that_forgets_a_field_about_people_gives_no_answer(
    strict_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(read_reasons, "ABOUT_NO_PERSON", read_reasons.ABOUT_NO_PERSON | {"accounts"})
    found = await answered_without_a_reason(strict_gateway)
    killed("a field about people that needs no reason", "ABOUT_NO_PERSON", found[0] if found else None)
    answer = await _state(strict_gateway, QUERIES["accounts"], None)
    assert (answer.status_code, readings(answer.text, "staff")) == (500, [])


def test_what_needs_no_reason_is_a_field_of_the_schema() -> None:
    schema = build_schema(introspection=True)._schema
    fields = {*schema.query_type.fields, *schema.mutation_type.fields}  # type: ignore[union-attr]
    assert {name for name in read_reasons.ABOUT_NO_PERSON if not name.startswith("__")} <= fields


async def test_a_reason_is_one_short_line(read_gateway: TestGateway) -> None:
    headers = {"Authorization": f"Bearer {read_gateway.token(Role.AUDITOR)}"}
    for reason in ("x" * 201, "two\nlines", 7, ["a"]):
        body = {"query": READS, "extensions": {"reason": reason}}
        answer = await read_gateway.client.post("/graphql", json=body, headers=headers)
        assert (answer.status_code, "extensions.reason" in answer.text) == (400, True), reason


async def test_a_person_sees_when_and_by_which_role_and_nobody_elses(read_gateway: TestGateway) -> None:
    await read_gateway.ask(Role.PRIVACY_OFFICER, QUERIES["account"], name="ada")
    query = "{ viewer { staffReads { readAt role } } }"
    own = await read_gateway.ask(Role.DATA_SUBJECT, query, subject="author")
    assert own["viewer"]["staffReads"] == [{"readAt": NOW.isoformat(), "role": "PRIVACY_OFFICER"}]
    for other in ("b", "stranger"):
        seen = await read_gateway.ask(Role.DATA_SUBJECT, query, subject=other)
        assert seen == {"viewer": {"staffReads": []}}
    page = await read_gateway.client.get(
        "/me", headers={"Authorization": f"Bearer {read_gateway.token(Role.DATA_SUBJECT, subject='author')}"}
    )
    assert "Who looked at your data" in page.text
    assert "The privacy team, " in page.text
    assert "ada" not in page.text


async def test_what_cannot_be_recorded_is_not_answered(read_gateway: TestGateway) -> None:
    read_gateway.execute("ALTER TABLE grounds.staff_read ADD CONSTRAINT full_disk CHECK (id < 0) NOT VALID")
    answer = await read_gateway.post(Role.PRIVACY_OFFICER, QUERIES["accounts"])
    assert answer.status_code == 500
    assert readings(answer.text, "staff") == []


async def sealed_reads(gateway: TestGateway) -> Audit:
    """Seal what is committed, and verify it."""
    key = signing_key(SECRET)
    async with working(gateway.database_url) as worker:
        await seal_receipts(worker, key)
    audit = Audit(key.public_key())
    async with administering(gateway.database_url) as administrator:
        await verify_chain([administrator], audit)
    return audit


async def test_reads_at_once_are_all_recorded_in_one_chain(read_gateway: TestGateway) -> None:
    answers = await asyncio.gather(*(read_gateway.post(Role.AUDITOR, QUERIES["accounts"]) for _ in range(24)))
    shown = sum(answer.status_code == 200 for answer in answers)  # the others were told that the gateway is busy
    assert shown > 1
    ((recorded,),) = read_gateway.execute("SELECT count(*) FROM grounds.staff_read")
    assert recorded >= shown
    audit = await sealed_reads(read_gateway)
    assert (audit.findings, audit.staff_reads, audit.unsealed_reads) == ([], recorded, 0)


async def beside_a_stalled_read(gateway: TestGateway, staff: psycopg.Connection) -> str | None:
    """Let the commit of a read stall while others read and the ledger is sealed; return what is wrong."""
    with staff.transaction():
        staff.execute("SELECT set_config('grounds.' || c, 'AUDITOR', TRUE) FROM unnest('{examiner,officer}'::text[]) c")
        staff.execute("SELECT grounds.record_staff_read('{account}', NULL, '{1}', '{}', '{}')")
        answer = await gateway.post(Role.AUDITOR, QUERIES["account"])
        if answer.status_code != 200:
            return f"another officer is answered {answer.status_code}"
        await sealed_reads(gateway)
    audit = await sealed_reads(gateway)
    if (audit.staff_reads, audit.unsealed_reads, audit.findings) != (2, 0, []):
        return f"{audit.staff_reads} of 2 reads are sealed, {audit.unsealed_reads} are not: {audit.findings}"
    return None


async def test_a_read_whose_commit_stalls_stops_no_other_and_is_sealed_later(
    read_gateway: TestGateway, staff: psycopg.Connection
) -> None:
    assert await beside_a_stalled_read(read_gateway, staff) is None


async def test_a_build_in_which_reads_wait_for_each_other_or_are_passed_over_is_noticed(
    read_gateway: TestGateway, staff: psycopg.Connection, killed: Killed
) -> None:
    builds = {
        "record_staff_read(text[], text, bigint[], bigint[], bigint[])": (
            "INSERT INTO grounds.staff_read AS r",
            "LOCK TABLE grounds.staff_read IN SHARE ROW EXCLUSIVE MODE; INSERT INTO grounds.staff_read AS r",
        ),
        "chain_staff_reads(integer)": (
            "r.place IS NULL ORDER",
            "r.place IS NULL AND r.id > coalesce((SELECT max(s.id) FROM grounds.staff_read s WHERE s.place > 0), 0)"
            " ORDER",
        ),
    }
    for function, change in builds.items():
        ((right,),) = read_gateway.execute("SELECT pg_get_functiondef(%s::regprocedure)", f"grounds.{function}")
        alter(read_gateway, function, change)
        killed(f"with {change[1][:40]}", function, await beside_a_stalled_read(read_gateway, staff))
        read_gateway.execute(right.replace("%", "%%"))
        read_gateway.execute(
            "TRUNCATE grounds.staff_read, grounds.staff_read_account, grounds.checkpoint RESTART IDENTITY"
        )


async def test_a_read_that_is_edited_or_taken_away_is_found(read_gateway: TestGateway) -> None:
    for _ in range(3):
        await read_gateway.ask(Role.AUDITOR, QUERIES["accounts"])
    key = signing_key(SECRET)
    assert (await sealed_reads(read_gateway)).staff_reads == 3
    edits = {
        "reader = 'b'": "was edited",
        "role = 'PRIVACY_OFFICER'": "was edited",
        "read_at = read_at + interval '1 s'": "was edited",
        "fields = '{}'": "was edited",
        "reason = 'none'": "was edited",
        "objections = '{1}'": "was edited",
        "digest = sha256('')": "was edited",
        "place = 4": "was deleted or added",
        "place = NULL, digest = NULL": "was deleted or added",
    }
    statements = {f"UPDATE grounds.staff_read SET {edit} WHERE id = 2": words for edit, words in edits.items()} | {
        "DELETE FROM grounds.staff_read_account WHERE staff_read = 2": "was edited",
        "DELETE FROM grounds.staff_read WHERE id = 2": "was deleted or added",
        "DELETE FROM grounds.staff_read WHERE id = 3": "are missing",
        "DELETE FROM grounds.staff_read": "are missing",
        "CREATE OR REPLACE FUNCTION grounds.staff_read_leaf(r grounds.staff_read) RETURNS bytea LANGUAGE sql"
        " RETURN sha256('')": "staff_read_leaf was replaced",
        "SELECT 1": "",
    }
    for statement, words in statements.items():
        async with administering(read_gateway.database_url) as administrator:
            await administrator.execute("SET LOCAL session_replication_role = 'replica'")
            await administrator.execute(statement)
            audit = Audit(key.public_key())
            await verify_chain([administrator], audit)
        assert words in (audit.findings or [""])[0], statement
        assert bool(words) == bool(audit.findings), audit.findings


@pytest.fixture
async def staff(read_gateway: TestGateway) -> AsyncIterator[psycopg.Connection]:
    """A session of the login that officers and auditors share."""
    password = role_password(SECRET, STAFF)
    with psycopg.connect(read_gateway.database_url, user=STAFF, password=password, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


@pytest.mark.database
async def test_only_staff_that_names_itself_writes_a_read(staff: psycopg.Connection) -> None:
    record = "SELECT grounds.record_staff_read('{account}', NULL, '{}', '{}', '{}')"
    for claims in ([], ["examiner"], ["officer"]):
        with staff.transaction(force_rollback=True):
            for claim in claims:
                staff.execute("SELECT set_config(%s, 'AUDITOR', TRUE)", [f"grounds.{claim}"])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                staff.execute(record)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        staff.execute("INSERT INTO grounds.staff_read (reader) VALUES ('r')")


@pytest.mark.long  # ten thousand requests: the promise at the number that is named in the README
async def test_ten_thousand_reads_are_ten_thousand_records(read_gateway: TestGateway) -> None:
    for _ in range(10_000):
        await read_gateway.ask(Role.AUDITOR, QUERIES["account"])
    assert read_gateway.execute("SELECT count(*) FROM grounds.staff_read") == [(10_000,)]
