"""The states of the background jobs: the last success of each, and since when it fails or hangs."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import psycopg

from db.access.role_names import BECOME_OWNER
from db.connection import Connection


class JobState(NamedTuple):
    """The state of a job; `failing_since` and the kind of the error are None if its last run succeeded.

    `is_overdue` says that the job has not succeeded for ten minutes and two of its intervals.
    """

    last_success_at: datetime | None
    failing_since: datetime | None
    error_kind: str | None
    is_overdue: bool = False


JOB_STATES = "SELECT * FROM grounds.job_states()"
"""The statement that reads the name and the state of each job."""


async def start_jobs(worker: Connection, seconds: Mapping[str, float]) -> None:
    """Record in the database which background jobs a server runs, and the interval of each."""
    await worker.execute("SELECT grounds.start_jobs($1, $2)", [*seconds], [*seconds.values()])


async def record_job(worker: Connection, job: str, error: BaseException | None = None) -> None:
    """Record a background job's outcome in the database. Of an error only its kind is stored, never its message."""
    await worker.execute("SELECT grounds.record_job($1, $2)", job, type(error).__name__ if error else None)


def job_states(connection: psycopg.Connection) -> dict[str, JobState]:
    """Read from the database the states of the background jobs that have run, by name, as the administrator."""
    with connection.transaction():
        connection.execute(BECOME_OWNER)
        rows = connection.execute(JOB_STATES).fetchall()
    return {name: JobState(*state) for name, *state in rows}
