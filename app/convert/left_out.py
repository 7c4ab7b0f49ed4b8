"""What a conversion of a platform's export left out, by reason."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class LeftOut:
    """The reasons why parts of an export were not converted, and the number of parts per reason."""

    reasons: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """How often each kind of data was left out because of an error that the platform must correct."""

    def note(self, reason: str, count: int = 1) -> None:
        """Count the parts of a converted export that do not fit into any fact."""
        if count:
            self.reasons[reason] += count

    def fault(self, reason: str) -> None:
        """Count a part of an export that cannot be read."""
        self.faults[reason] += 1

    def lines(self) -> list[str]:
        """Write what a conversion left out, one sentence per reason."""
        return [f"left out: {count} {reason}" for reason, count in sorted((self.reasons + self.faults).items())]
