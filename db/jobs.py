"""The states of the background jobs: the last success of each, and since when it fails."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from db.connection import Connection


class JobState(NamedTuple):
    """The state of a job; `failing_since` and the kind of the error are None if its last run succeeded."""

    last_success_at: datetime | None
    failing_since: datetime | None
    error_kind: str | None


async def record_job(worker: Connection, job: str, error: BaseException | None = None) -> None:
    """Record a background job's outcome in the database. Of an error only its kind is stored, never its message."""
    await worker.execute("SELECT grounds.record_job($1, $2)", job, type(error).__name__ if error else None)


def job_states(connection: psycopg.Connection) -> dict[str, JobState]:
    """Read from the database the states of the background jobs that have run, by name, as the administrator."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE grounds_owner")
        rows = connection.execute("SELECT name, last_success_at, failing_since, error_kind FROM grounds.job").fetchall()
    return {name: JobState(*state) for name, *state in rows}
