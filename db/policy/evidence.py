"""What shows that a condition holds: coarse facts only, weeks and months, never a birth date."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property


@dataclass(frozen=True)
class Evidence:
    """Name the fact that shows a condition and how people read it.

    `fact` is a column of the content or the standing, or a policy parameter where `of_policy`. Dates are shown as a
    month (`2025-04`), or as an ISO 8601 week (`2025-W16`) where `weekly`.
    """

    fact: str
    label: str
    weekly: bool = False
    of_policy: bool = False

    @cached_property
    def column(self) -> str:
        """Give the name of the fact's column in the compiled views."""
        return "account_kind" if self.fact == "s.kind" else self.fact.partition(".")[2]

    def show(self, value: object) -> str | None:
        """Say the fact; nothing known shows nothing."""
        if value is None:
            return None
        if isinstance(value, date):
            year, week, _ = value.isocalendar()
            value = f"{year}-W{week:02}" if self.weekly else f"{value.year:04}-{value.month:02}"
        return self.label.format(value)
