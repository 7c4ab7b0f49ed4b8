"""Random choices for the made-up facts: an author, yes or no, and a time before midnight."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

Record = dict[str, Any]

DAY = 86_400
YEAR = 365.2425 * DAY


@dataclass(frozen=True, slots=True)
class Author:
    """An account of the made-up platform, with what its facts and its items have in common."""

    number: int
    product: str
    country: str | None
    languages: tuple[str, ...]
    person: str | None
    born: date
    contacts: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return the platform's id of a made-up account."""
        return f"account-{self.number}"


class FactDraws:
    """Draws of chances and instants; instants are whole seconds before midnight, so none lies in the future."""

    def __init__(self, items: int, midnight: datetime, seed: int) -> None:
        self.items = items
        self.accounts = max(1, items // 5)
        self.midnight = midnight
        self.random = Random(seed)  # noqa: S311 - the population is no secret, it has to come out the same each time
        self.draw = self.random.random

    def chance(self, probability: float) -> bool:
        """Draw whether something with this probability happens in the demo."""
        return self.draw() < probability

    def ago(self, at_least: float, at_most: float) -> int:
        """Draw how many seconds before midnight something happened in the demo."""
        return int(at_least + (at_most - at_least) * self.draw())

    def at(self, ago: int) -> datetime:
        """Return the instant that is this number of seconds before the demo's midnight."""
        return self.midnight - timedelta(seconds=ago)

    def maybe_at(self, ago: int | None) -> datetime | None:
        """Return the instant that is this number of seconds before the demo's midnight; None if `ago` is None."""
        return None if ago is None else self.at(ago)

    def observed(self, *agos: int | None) -> datetime:
        """Draw when the made-up platform observed what happened at these instants: a little after the latest."""
        latest = min(ago for ago in agos if ago is not None)
        return self.at(max(0, latest - 60 - int(2 * DAY * self.draw())))


def address_hash(number: int, box: int) -> str:
    """Hash a made-up author's e-mail address, as the platform does."""
    return sha256(f"somebody-{number}-{box}@example.org".encode()).hexdigest()
