"""The formats of reports, and the exit codes of the commands. This module imports no other module of the package, so
that `--help` is fast."""

from enum import StrEnum
from typing import Final

EXIT_WOULD_BREAK: Final = 1
EXIT_UNREADABLE: Final = 2


class ReportFormat(StrEnum):
    """A format of reports that pass or fail."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


class UsageFormat(StrEnum):
    """A format of the usage report, which neither passes nor fails."""

    TEXT = "text"
    JSON = "json"
