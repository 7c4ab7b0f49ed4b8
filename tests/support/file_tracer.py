"""Trace which modules of the product are entered while something is served in this process."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
_FOLDERS = tuple(f"{ROOT / folder}/" for folder in ("app", "schema", "db"))
_SCHEDULER = str(ROOT / "app" / "server" / "scheduler.py")
REQUESTS = ""
"""What is entered for no job is for a request."""

_job: ContextVar[str] = ContextVar("job", default=REQUESTS)
"""The job of the scheduler that the current task works for."""

Entered = dict[str, dict[str, None]]
"""The modules, as paths from the root, in the order of their first call, by the job that they are entered for."""


class FileTracer:
    """A tracer of the event loop's thread, and of every thread that starts while the tracer is open."""

    def __init__(self) -> None:
        self._found: Entered | None = None

    @contextmanager
    def collecting(self, *jobs: str) -> Iterator[Entered]:
        """Collect the modules that requests, or these jobs of the scheduler, enter within the block."""
        self._found = {job: {} for job in jobs or (REQUESTS,)}
        sys.setprofile(self.profile)
        try:
            yield self._found
        finally:
            sys.setprofile(None)
            self._found = None

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call; the body of a module, which an import runs, is none."""
        code = frame.f_code
        if self._found is None or event != "call" or code.co_name == "<module>":
            return
        if code.co_filename == _SCHEDULER and "job" in frame.f_locals:
            _job.set(frame.f_locals["job"].name)  # the tasks that a job begins inherit it
        if code.co_filename.startswith(_FOLDERS) and code.co_filename.endswith(".py"):
            entered = self._found.get(_job.get())
            if entered is not None:
                entered[str(Path(code.co_filename).relative_to(ROOT))] = None


@contextmanager
def open_tracer() -> Iterator[FileTracer]:
    """Yield a tracer; threads that begin before the block ends are traced."""
    tracer = FileTracer()
    threading.setprofile(tracer.profile)
    try:
        yield tracer
    finally:
        threading.setprofile(None)
