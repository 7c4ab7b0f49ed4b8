"""What each login role sees with its claim, with another's, and without."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from db.access.declaration import DASHBOARD, STAFF, SUBJECT, TABLES, VIEWS
from db.secrets import role_password
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

pytestmark = pytest.mark.database

ME = "objector"


@pytest.fixture
async def peopled(gateway: TestGateway) -> TestGateway:
    """Two people, one with an objection, an item of each, a notice to each."""
    gateway.set_clock(NOW)
    people = [fact("account"), fact("account", id=ME)]
    told = [fact("notice"), fact("notice", id="theirs", account=ME)]
    items = [fact("content"), fact("content", id="own", account=ME)]
    answer = await gateway.ingest([*people, *told, *items, fact("objection", account=ME), fact("consent")])
    assert answer["total"]["rejected"] == 0
    return gateway


@contextmanager
def login(database_url: str, role: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    place = urlsplit(database_url)
    with psycopg.connect(
        host=place.hostname,
        port=place.port,
        dbname=place.path.removeprefix("/"),
        user=role,
        password=role_password(SECRET, role),
        autocommit=True,
    ) as connection:
        yield connection


def claim(connection: "psycopg.Connection[tuple[Any, ...]]", name: str, value: str) -> None:
    connection.execute("SELECT set_config('grounds.' || %s, %s, FALSE)", [name, value])


def counts(connection: "psycopg.Connection[tuple[Any, ...]]", role: str) -> dict[str, int]:
    """Count the rows of every table and view that a role may read."""
    readable = [table for table, roles in TABLES.items() if role in roles and "SELECT" in roles[role].privileges]
    readable += [view for view, roles in VIEWS.items() if role in roles]
    found: dict[str, int] = {}
    for name in readable:
        (found[name],) = connection.execute(f"SELECT count(*) FROM grounds.{name}".encode()).fetchone() or (0,)
    return found


async def test_a_data_subjects_login_sees_what_is_theirs_and_nothing_else(peopled: TestGateway) -> None:
    with login(peopled.database_url, SUBJECT) as connection:
        assert {name for name, count in counts(connection, SUBJECT).items() if count} == {"policy"}
        claim(connection, "subject", ME)
        assert counts(connection, SUBJECT) == {
            **dict.fromkeys(("account", "account_standing", "notice", "objection", "content", "policy"), 1),
            **{"consent_event": 2, "own_decision": 1, "objection_in_force": 1},
            **{"campaign": 1, "campaign_told": 1, "campaign_text": 0},
        }
        assert connection.execute("SELECT platform_id FROM grounds.content").fetchall() == [("own",)]
        of_everybody = {"policy", "campaign", "campaign_told"}
        claim(connection, "subject", "nobody")
        assert {name for name, count in counts(connection, SUBJECT).items() if count} == of_everybody
        for foreign in ("examiner", "client", "purpose", "ingest"):
            claim(connection, foreign, "1")
        assert {name for name, count in counts(connection, SUBJECT).items() if count} == of_everybody


async def test_staffs_login_sees_rows_for_an_examiner_only(peopled: TestGateway) -> None:
    with login(peopled.database_url, STAFF) as connection:
        assert {name for name, count in counts(connection, STAFF).items() if count} == {"policy"}
        claim(connection, "subject", ME)
        bare = counts(connection, STAFF)
        assert not any(count for name, count in bare.items() if name not in {"policy", "decision"}), bare
        claim(connection, "examiner", Role.AUDITOR)
        seen = counts(connection, STAFF)
        assert (seen["account"], seen["content"], seen["decision"], seen["objection"]) == (2, 2, 2, 1)
        for statement in ("DELETE FROM grounds.content", "UPDATE grounds.policy SET active = FALSE"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                connection.execute(statement.encode())


async def test_a_dashboards_login_reads_policies_and_published_counts_and_nothing_of_people(
    peopled: TestGateway,
) -> None:
    with login(peopled.database_url, DASHBOARD) as connection:
        for name in ("client", "purpose", "examiner", "subject", "ingest"):
            claim(connection, name, "1")
        public = {"policy": 1, "coverage_published": 0, "campaign": 1, "campaign_text": 0}
        assert counts(connection, DASHBOARD) == public
        for name in (*TABLES, *VIEWS):
            if name not in public:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SELECT * FROM grounds.{name}".encode())
