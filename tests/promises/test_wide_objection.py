"""An objection that reaches very many accounts is in effect when acknowledged, before their standings are derived.

Its commit derives some of them; while a job derives the rest, nothing is delivered, retracted or told to be permitted.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.server.scheduler import hold_job_lock
from db.connection import open_database
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway, clock_statement, open_gateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, settled

CONTACT = hashlib.sha256(b"shared").hexdigest()
FILE = "mutation F($input: FileObjectionInput!) { fileObjection(input: $input) { reference } }"
WITHDRAW = "mutation W($reference: String!) { withdrawObjection(reference: $reference) { withdrawnAt } }"
BACKLOG = "SELECT count(*) FROM grounds.standing_backlog"
OBJECTED = "SELECT count(*) FROM grounds.account_standing WHERE objected_public_until = 'infinity'"
ACCOUNTS = 1500
OWN_CONTACTS = [hashlib.sha256(name).hexdigest() for name in (b"one", b"two", b"three")]


@pytest.fixture
async def shared(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """Many accounts with one contact, of which each has an item."""
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest(record for name in range(ACCOUNTS) for record in records(str(name), [CONTACT]))
        await gateway.ingest(records("other", []))
        yield gateway


def records(name: str, contacts: list[str]) -> list[dict[str, Any]]:
    account, notice = fact("account", id=name, contacts=contacts), fact("notice", id=name, account=name)
    return [account, notice, fact("content", id=name, account=name)]


async def object_while_the_job_waits(gateway: TestGateway) -> tuple[int, int, list[str]]:
    """Object by the contact; give a page's status and what is permitted meanwhile, and the feed's kinds afterwards."""
    delivered = [item["id"] for item in await gateway.pull(1000)]
    assert len(delivered) == ACCOUNTS + 1
    async with open_database(gateway.database_url, SECRET) as database, hold_job_lock(database, "standings"):
        await gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"contact": CONTACT}})
        page = await gateway.post(Role.TRAINING_CLIENT, PULL, {"first": 1000})
        served = page.json()["data"]["trainableContent"]["nodes"] if page.status_code == 200 else []
        gateway.execute("SELECT grounds.retract_due()")
        told = gateway.execute("SELECT count(*) FROM grounds.retraction")
    return page.status_code, len(served), [str(count) for (count,) in told]


async def test_nothing_is_delivered_until_the_standings_of_a_wide_objection_are_derived(shared: TestGateway) -> None:
    status, served, told = await object_while_the_job_waits(shared)
    assert (status, served, told) == (503, 0, ["0"])
    while shared.execute("SELECT grounds.derive_backlog()") != [(0,)]:
        pass
    assert shared.execute(OBJECTED) == [(ACCOUNTS,)]
    assert len(await shared.pull(1000)) == 1
    await settled(shared)
    assert shared.execute("SELECT count(*), count(DISTINCT item) FROM grounds.retraction") == [(ACCOUNTS, ACCOUNTS)]


async def objected_again(gateway: TestGateway) -> tuple[list[int], list[int]]:
    """Object twice by the contact, withdraw the first; return the backlog after each, and how many objected then."""
    backlog, objected = [], []
    references = []
    for _ in range(2):
        answer = await gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"contact": CONTACT}})
        references.append(answer["fileObjection"]["reference"])
        backlog.append(gateway.execute(BACKLOG)[0][0])
        derive(gateway)
        objected.append(gateway.execute(OBJECTED)[0][0])
    await gateway.ask(Role.PRIVACY_OFFICER, WITHDRAW, {"reference": references[0]})
    derive(gateway)
    objected.append(gateway.execute(OBJECTED)[0][0])
    return backlog, objected


def derive(gateway: TestGateway) -> None:
    while gateway.execute("SELECT grounds.derive_backlog()") != [(0,)]:
        pass


@pytest.mark.ci
async def test_an_objection_that_is_sent_again_pauses_nothing_and_stands_by_itself(shared: TestGateway) -> None:
    async with open_database(shared.database_url, SECRET) as database, hold_job_lock(database, "standings"):
        backlog, objected = await objected_again(shared)
    assert (backlog[0] > 0, backlog[1]) == (True, 0)
    assert objected == [ACCOUNTS] * 3


def objected_beside(gateway: TestGateway) -> list[bool]:
    """Object to everything by a contact beside another objection by it; return whether the account has objected then.

    The other one is of the same transaction, was withdrawn, or is to something else.
    """
    found = []
    for number, (scope, withdrawn) in enumerate((("ALL", None), ("ALL", NOW), ("AI_INTERACTIONS", None))):
        with psycopg.connect(gateway.database_url, autocommit=True) as connection:
            with connection.transaction():
                insert_objection(connection, f"first {number}", number, scope)
                if number == 0:
                    insert_objection(connection, f"second {number}", number, "ALL")
            connection.execute(
                "UPDATE grounds.objection SET withdrawn_at = %s WHERE platform_id = 'first 1'", [withdrawn]
            )
            if number > 0:
                insert_objection(connection, f"second {number}", number, "ALL")
            row = connection.execute(f"{OBJECTED} AND account = %s", [number + 1]).fetchone()
        found.append(row == (1,))
    return found


def insert_objection(connection: psycopg.Connection, name: str, account: int, scope: str) -> None:
    """Object by the contact that only this account has."""
    connection.execute(
        "WITH filed AS (INSERT INTO grounds.objection (platform_id, scope, received_at, observed_at)"
        " VALUES (%s, %s, %s, %s) RETURNING id)"
        " INSERT INTO grounds.objection_target (objection, kind, value) SELECT id, 'CONTACT', %s FROM filed",
        [name, scope, NOW, NOW, OWN_CONTACTS[account]],
    )


@pytest.mark.ci
async def test_an_objection_is_left_out_only_beside_one_that_stands_for_everything(
    database_url: str, tmp_path: Path, killed: Killed
) -> None:
    builds = {
        "": ("", ""),
        "one of two of a transaction": ("e.objection <> ALL (objections)", "e.objection <> t.objection"),
        "one beside another that was withdrawn": ("AND o.withdrawn_at IS NULL", ""),
        "one beside another to something else": ("o.scope = 'ALL'", "TRUE"),
    }
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest(fact("account", id=each, contacts=[each]) for each in OWN_CONTACTS)
        ((right,),) = gateway.execute("SELECT pg_get_functiondef('grounds.targets_touched'::regproc)")
        for name, change in builds.items():
            gateway.execute(right.replace(*change).replace("%", "%%"))
            found = objected_beside(gateway)
            if name:
                killed(name, "targets_touched()", None if all(found) else f"has not objected: {found}")
            else:
                assert found == [True] * 3
            gateway.execute("DELETE FROM grounds.objection_target")
            gateway.execute("DELETE FROM grounds.objection")
            gateway.execute("UPDATE grounds.account SET observed_at = observed_at")


def raised_by(connection: psycopg.Connection) -> list[str]:
    """Return which of some objections that do not stand any longer decide alone what counts for an account."""
    insert_objection(connection, "withdrawn", 0, "ALL")
    connection.execute("UPDATE grounds.objection SET withdrawn_at = %s", [NOW])
    insert_objection(connection, "of a placeholder", 1, "ALL")
    connection.execute(
        "INSERT INTO grounds.placeholder (kind, value, reason, declared_by, declared_at, in_effect_from)"
        " VALUES ('CONTACT', %s, 'An export', 'one', %s, %s)",
        [OWN_CONTACTS[1], NOW, NOW],
    )
    insert_objection(connection, "stands", 2, "ALL")
    found = connection.execute(
        "SELECT platform_id FROM grounds.objection WHERE grounds.raise_objected('{1}', id) IS NOT NULL ORDER BY 1"
    )
    return [name for (name,) in found]


def test_an_objection_that_no_longer_stands_decides_nothing_alone(database_url: str, killed: Killed) -> None:
    builds = {
        "": ("", ""),
        "an objection withdrawn before its part is derived": ("AND o.withdrawn_at IS NULL", ""),
        "a contact that became a placeholder": ("grounds.links_nothing(t.kind, t.value)", "FALSE"),
    }
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(clock_statement(NOW))
        row = connection.execute("SELECT pg_get_functiondef('grounds.raise_objected'::regproc)").fetchone()
        assert row is not None
        for name, change in builds.items():
            with connection.transaction(force_rollback=True):
                connection.execute(row[0].replace(*change).encode())
                found = raised_by(connection)
            if name:
                killed(name, "raise_objected()", None if found == ["stands"] else f"{found} decide alone")
            else:
                assert found == ["stands"]


async def test_a_build_that_delivers_while_standings_are_behind_is_noticed(shared: TestGateway, killed: Killed) -> None:
    alter(shared, "decisions_pending()", ("OR EXISTS", "OR FALSE AND EXISTS"))
    _, served, _ = await object_while_the_job_waits(shared)
    killed("deliveries go on", "grounds.decisions_pending", f"{served - 1} items served" if served > 1 else None)
