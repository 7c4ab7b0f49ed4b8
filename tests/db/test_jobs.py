"""What is recorded of each background job."""

from datetime import timedelta

import psycopg

from db.jobs import JobState, job_states


def record(url: str, error: str | None) -> JobState:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT grounds.record_job('work', %s)", [error])
        return job_states(connection)["work"]


def test_a_job_fails_since_its_first_failure_until_it_succeeds(database_url: str) -> None:
    first = record(database_url, None)
    assert first.last_success_at is not None
    failed, again = record(database_url, "ValueError"), record(database_url, "TypeError")
    assert failed.last_success_at == again.last_success_at == first.last_success_at
    assert failed.failing_since == again.failing_since
    assert failed.failing_since is not None
    assert (failed.error_kind, again.error_kind) == ("ValueError", "TypeError")
    last = record(database_url, None)
    assert (last.failing_since, last.error_kind) == (None, None)
    assert last.last_success_at is not None
    assert last.last_success_at > first.last_success_at


def test_the_first_run_can_fail(database_url: str) -> None:
    failed = record(database_url, "ValueError")
    assert failed.last_success_at is None
    assert failed.failing_since is not None


def overdue(url: str, idle: timedelta) -> bool:
    """Let a job of every 30 s be idle for so long, in a server that started before; return whether it is overdue."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT grounds.start_jobs('{work}', '{30}')")
        connection.execute(
            "UPDATE grounds.job SET started_at = now() - interval '1 day', last_success_at = now() - %s", [idle]
        )
        return job_states(connection)["work"].is_overdue


def test_a_job_that_hangs_is_overdue_and_one_that_a_server_just_began_is_not(database_url: str) -> None:
    assert [overdue(database_url, timedelta(seconds=idle)) for idle in (0, 650, 670)] == [False, False, True]
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE grounds.job SET last_success_at = now() - interval '1 day'")
        connection.execute("SELECT grounds.start_jobs('{work}', '{30}')")
        assert not job_states(connection)["work"].is_overdue
        connection.execute("UPDATE grounds.job SET last_success_at = NULL, started_at = now() - interval '1 hour'")
        assert job_states(connection)["work"].is_overdue, "it never succeeded"
        connection.execute("SELECT grounds.start_jobs('{other}', '{1}')")
        assert job_states(connection).keys() == {"other"}
