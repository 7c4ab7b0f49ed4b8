"""Background jobs: whether each of them succeeds, fails or is overdue."""

from datetime import datetime

import strawberry

from db.jobs import JOB_STATES, JobState
from schema.context import Info
from schema.governed import EXAMINERS, governed


@strawberry.type(description="A background job of the gateway, for example the one that writes retractions.")
class BackgroundJob:
    name: str = governed(EXAMINERS, description="The name of the job.")
    last_success_at: datetime | None = governed(
        EXAMINERS, description="The time at which the job last succeeded, null if it never did."
    )
    failing_since: datetime | None = governed(
        EXAMINERS, description="The time from which every run of the job has failed, null if the last run succeeded."
    )
    error_kind: str | None = governed(
        EXAMINERS, description="The kind of error of the last run, null if the last run succeeded."
    )
    is_overdue: bool = governed(
        EXAMINERS,
        description="Whether the job is overdue, because it has not succeeded for ten minutes and twice its interval.",
    )


async def resolve_background_jobs(info: Info) -> list[BackgroundJob]:
    """Resolve `backgroundJobs` for officers and auditors: the state of every background job."""
    rows = await info.context.reader.fetch(JOB_STATES)
    return [BackgroundJob(name=name, **JobState(*state)._asdict()) for name, *state in rows]
