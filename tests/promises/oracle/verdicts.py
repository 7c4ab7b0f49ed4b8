"""What the oracle says of an item, and the logic of three values that it says it in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Decision:
    permitted: bool
    ground: str
    outcomes: dict[str, Outcome]  # every condition that was evaluated, in the order of the specification


Verdict = bool | None  # SQL's TRUE, FALSE and NULL
OUTCOMES: dict[Verdict, Outcome] = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}


def all_of(*verdicts: Verdict) -> Verdict:
    """Return SQL's AND."""
    return False if False in verdicts else None if None in verdicts else True


def unless(doubted: bool) -> Verdict:
    """Return what a quarantine leaves: at best UNKNOWN."""
    return None if doubted else True


def is_value(wanted: str, value: str | None) -> Verdict:
    return None if value is None else value == wanted


def is_reached(limit: datetime, since: datetime | None) -> Verdict:
    return None if since is None else since <= limit
