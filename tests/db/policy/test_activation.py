"""A policy that two officers approved is put in force, whatever else is being put in force or killed at that moment."""

import json
import multiprocessing
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db.policies.activation import activate_due_policy, activate_policy
from db.policy.document import Policy, default_policy, parse_policy
from db.setup import prepare_database
from tests.support.gateway import SECRET

pytestmark = pytest.mark.database

START = datetime(2026, 1, 1, tzinfo=UTC)


def policy(version: str) -> Policy:
    return parse_policy(json.dumps(json.loads(default_policy().document()) | {"version": version}))


def approve(url: str, version: str, day: int, *, due: bool = True) -> None:
    """Approve a policy as two officers do; each one is effective from another day on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO grounds.policy_proposal"
            " (version, document, effective_from, proposed_by, proposed_at, approved_by, approved_at)"
            " VALUES (%s, %s, %s, 'first', now(), 'second', clock_timestamp())",
            [version, policy(version).document(), START + timedelta(days=day if due else 100_000)],
        )


def state(url: str) -> tuple[str, set[str]]:
    """Return the version in force, and the versions that count as put in force."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((active,),) = connection.execute("SELECT version FROM grounds.policy WHERE active").fetchall()
        done = connection.execute("SELECT version FROM grounds.policy_proposal WHERE put_in_force_at IS NOT NULL")
        return active, {version for (version,) in done.fetchall()}


def waiting(url: str) -> bool:
    """Return whether a session waits for a lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return found.fetchone() is not None


def approved_meanwhile(url: str, day: int) -> None:
    """Put `first` in force, and approve `second` while that waits for a reader of the views that it swaps."""
    approve(url, "first", 10)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT FROM grounds.decision LIMIT 1")
        activating = threading.Thread(target=activate_due_policy, args=[url])
        activating.start()
        while not waiting(url):
            time.sleep(0.01)
        approve(url, "second", day)
    activating.join()


@pytest.mark.parametrize("day", [20, 5])  # effective after the other one, or before it
def test_a_policy_approved_while_another_is_put_in_force_is_put_in_force(database_url: str, day: int) -> None:
    approved_meanwhile(database_url, day)
    assert state(database_url) == ("first", {"first"})
    assert activate_due_policy(database_url)
    assert state(database_url) == ("second", {"first", "second"})
    assert not activate_due_policy(database_url)


def test_of_two_that_are_due_the_earlier_is_passed_over(database_url: str) -> None:
    approve(database_url, "first", 10)
    approve(database_url, "second", 20)
    approve(database_url, "not-yet", 0, due=False)
    assert activate_due_policy(database_url)
    assert state(database_url) == ("second", {"first", "second"})


def test_two_servers_that_activate_at_once_put_both_in_force_in_turn(database_url: str) -> None:
    approve(database_url, "first", 10)
    put: list[bool] = []
    servers = [threading.Thread(target=lambda: put.append(activate_due_policy(database_url))) for _ in range(4)]
    command = threading.Thread(target=activate_policy, args=[database_url, policy("by-command")])
    for each in (*servers[:2], command, *servers[2:]):
        each.start()
    for each in (*servers, command):
        each.join()
    assert sorted(put) == [False, False, False, True]
    active, done = state(database_url)
    assert (active in {"first", "by-command"}, done) == (True, {"first"})


def test_a_start_that_compiles_anew_takes_no_proposal_for_put_in_force(database_url: str) -> None:
    approve(database_url, "first", 10)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE grounds.policy SET compiled = 'by other rules' WHERE active")
    prepare_database(database_url, SECRET)
    assert state(database_url)[1] == set()
    assert activate_due_policy(database_url)
    assert state(database_url) == ("first", {"first"})


def test_an_activation_that_is_killed_is_done_by_the_next_one(database_url: str) -> None:
    approve(database_url, "first", 10)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT FROM grounds.decision LIMIT 1")
        activating = multiprocessing.get_context("spawn").Process(target=activate_due_policy, args=[database_url])
        activating.start()
        while not waiting(database_url):
            time.sleep(0.01)
        activating.kill()
        activating.join()
    assert state(database_url)[1] == set()
    assert activate_due_policy(database_url)
    assert state(database_url) == ("first", {"first"})
    assert not activate_due_policy(database_url)
