"""The state of a server process, which `/ready` shows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A job that failed and has not succeeded since: how often in a row, from when on, and by what kind of error."""

    count: int
    since: datetime
    kind: str


@dataclass(slots=True)
class ServerStatus:
    """The state of one process: whether it is about to stop, and which of its jobs fail."""

    stopping: bool = False
    warnings: tuple[str, ...] = ()
    """The warnings about settings that leave the gateway unprotected."""
    reload: Callable[[], None] = field(default=lambda: None)
    """What SIGHUP does: it reads the files again that can change while the server runs."""
    failing_jobs: dict[str, JobFailure] = field(default_factory=dict)

    def job_failed(self, job: str, error: BaseException) -> None:
        """Note in the server's status that a background job failed once more."""
        before = self.failing_jobs.get(job)
        since = before.since if before else datetime.now(UTC)
        self.failing_jobs[job] = JobFailure(before.count + 1 if before else 1, since, type(error).__name__)
