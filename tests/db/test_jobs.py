"""What is recorded of each background job."""

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
