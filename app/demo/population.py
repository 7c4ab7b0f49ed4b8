"""The facts of the made-up platform, the same on every run."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from hashlib import sha256

import orjson

from app.demo import phrases
from app.demo.draws import DAY, YEAR, Author, Record, address_hash
from app.demo.frequencies import (
    ACCOUNT_KINDS,
    CHANNELS,
    COUNTRIES,
    PRODUCTS,
    SCOPES,
    STATUSES,
    TARGETS,
)
from app.demo.made_up_items import ItemGenerator
from app.demo.phrases import choose

_EPOCH = "2025-04"
_BATCH = 20


def population_lines(items: int, now: datetime, seed: int = 2025) -> Iterator[bytes]:
    """Yield the demo's NDJSON lines: `items` content records, about items/5 accounts, and their other facts.

    The facts are accounts, notices, objections and consents. The same arguments give the same bytes. Every instant lies
    before the midnight (UTC) that begins the day of `now`, at a distance drawn from the seed alone, so that the
    population looks alike on any day. Memory does not grow with `items`. ValueError for a negative number of items or a
    `now` without offset.
    """
    if items < 0:
        raise ValueError(f"items: must be 0 or more, not {items} (correct it)")
    if now.tzinfo is None:
        raise ValueError("now: must have a time zone (pass a time such as datetime.now(UTC))")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = _RecordGenerator(items, midnight, seed)
    return (orjson.dumps(record, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE) for record in world.records())


class _RecordGenerator(ItemGenerator):
    """A generator of all records of the made-up platform."""

    def __init__(self, items: int, midnight: datetime, seed: int) -> None:
        super().__init__(items, midnight, seed)
        self.objections = 0

    def records(self) -> Iterator[Record]:
        """Yield all facts of the demo, a batch of accounts at a time: their facts, then what they wrote, in turn."""
        last: Author | None = None
        for start in range(0, self.accounts, _BATCH):
            authors: list[Author] = []
            late: list[Record] = []
            for number in range(start, min(start + _BATCH, self.accounts)):
                last = self._author(number, last)
                authors.append(last)
                account = self._account(last)
                if self.chance(0.05):
                    late.append(account)
                else:
                    yield account
                yield from self._notices(last)
                yield from self._objections(last)
                yield from self._consents(last)
            while self.contents < self.items * (start + len(authors)) // self.accounts:
                # A few write much, most write little.
                yield self.content(authors[int(len(authors) * self.draw() ** 1.6)])
            yield from late

    def _author(self, number: int, last: Author | None) -> Author:
        """Draw an author of the demo; some have a second account on another product."""
        product = choose(self.draw, PRODUCTS)
        if last and last.person and self.chance(0.18):
            born = self._born() if self.chance(0.04) else last.born
            return Author(number, product, last.country, last.languages, last.person, born, last.contacts)
        country = None if self.chance(0.015) else choose(self.draw, COUNTRIES)
        languages = phrases.languages_of_country(country)
        person = None if self.chance(0.1) else f"person-{number}"
        count = choose(self.draw, (0, 1, 1, 1, 1, 1, 1, 1, 1, 2))
        contacts = tuple(address_hash(number, box) for box in range(count))
        return Author(number, product, country, languages, person, self._born(), contacts)

    def _born(self) -> date:
        """Draw the birthday of a made-up author, often near the age of 18."""
        u = self.draw()
        if u < 0.025:
            age = self.ago(13 * YEAR, 18 * YEAR)
        elif u < 0.035:
            age = self.ago(18 * YEAR - 3 * DAY, 18 * YEAR + 3 * DAY)
        elif u < 0.1:
            age = self.ago(18 * YEAR, 24 * YEAR)
        else:
            age = int((22 + 62 * self.draw() ** 1.4) * YEAR)
        born = self.at(age).date()
        # The birthdays that are most often computed wrongly.
        return born.replace(year=born.year // 4 * 4, month=2, day=29) if self.chance(0.01) else born

    def _stated_birth(self, born: date) -> str | None:
        """Draw how exactly the made-up platform states a birthday: the day, the month, the year, or nothing."""
        u = self.draw()
        if u < 0.86:
            return born.isoformat()
        if u < 0.91:
            return f"{born:%Y-%m}"
        return f"{born.year}" if u < 0.96 else None

    def _account(self, author: Author) -> Record:
        """Draw the account record of a made-up author."""
        joined = self.ago(1.5 * YEAR, 12 * YEAR)
        status = choose(self.draw, STATUSES)
        since: int | None = joined if status == "ACTIVE" else self.ago(0, joined)
        if self.chance(0.03):
            since = self.ago(0, 14 * DAY) if self.chance(0.7) else None
        windows: list[tuple[int, int | None]] = []
        while self.chance(0.04):
            start = self.ago(5 * DAY, 3 * YEAR)
            windows.append((start, None if self.chance(0.05) else max(0, start - self.ago(0, 120 * DAY))))
        return {
            "record": "account",
            "id": author.id,
            "person": author.person,
            "product": author.product,
            "kind": choose(self.draw, ACCOUNT_KINDS),
            "born_on": self._stated_birth(author.born),
            "country": author.country,
            "status": status,
            "status_since": self.maybe_at(since),
            "compromised": [{"from": self.at(start), "to": self.maybe_at(end)} for start, end in windows],
            "contacts": author.contacts,
            "observed_at": self.observed(self.ago(0, 30 * DAY), since, *(ago for window in windows for ago in window)),
        }

    def _notices(self, author: Author) -> Iterator[Record]:
        """Draw the notice records of a made-up author's account."""
        u = self.draw()
        if u < 0.04:
            return
        sent = self.ago(0, 33 * DAY) if u < 0.08 else self.ago(60 * DAY, 520 * DAY)
        for channel, share in (("IN_APP", 0.97), ("EMAIL", 0.75)):
            if not self.chance(share):
                continue
            delivered = bounced = None
            if self.chance(0.95):
                delivered = max(0, sent - int(6 * DAY * self.draw() ** 6))
            if channel == "EMAIL" and self.chance(0.06):
                # Some post offices take a letter and return it later.
                bounced = max(0, sent - self.ago(60, 9 * DAY))
                delivered = delivered if self.chance(0.4) else None
            yield {
                "record": "notice",
                "id": f"notice-{author.number}-{channel}",
                "account": author.id,
                "channel": channel,
                "epoch": "2024-06" if self.chance(0.02) else _EPOCH,
                "sent_at": self.at(sent),
                "delivered_at": self.maybe_at(delivered),
                "bounced_at": self.maybe_at(bounced),
                "observed_at": self.observed(sent, delivered, bounced),
            }

    def _objections(self, author: Author) -> Iterator[Record]:
        """Draw the objection records of a made-up author's account."""
        while self.chance(0.05):
            received = int(520 * DAY * self.draw() ** 1.5)
            withdrawn = None
            if self.chance(0.18):
                withdrawn = self.ago(0, 28 * DAY) if self.chance(0.4) else self.ago(0, received)
            targets: dict[str, str | None] = {
                "account": author.id,
                "person": author.person,
                "contact": self._contact(author),
            }
            target = choose(self.draw, TARGETS)
            if targets[target] is None:
                target = "account"
            yield {
                "record": "objection",
                "id": f"objection-{self.objections}",
                target: targets[target],
                "scope": choose(self.draw, SCOPES),
                "received_at": self.at(received),
                "channel": choose(self.draw, CHANNELS),
                "withdrawn_at": self.maybe_at(withdrawn),
                "observed_at": self.observed(received, withdrawn),
            }
            self.objections += 1

    def _contact(self, author: Author) -> str | None:
        """Draw the hashed address of a made-up objection; some belong to no account."""
        if self.chance(0.1):
            return sha256(f"nobody-{self.objections}@example.org".encode()).hexdigest()
        return author.contacts[0] if author.contacts else None

    def _consents(self, author: Author) -> Iterator[Record]:
        """Draw the consent record of a made-up author's account, which few have."""
        if self.chance(0.02):
            given = self.ago(0, 400 * DAY)
            withdrawn = self.ago(0, given) if self.chance(0.25) else None
            yield {
                "record": "consent",
                "id": f"consent-{author.number}",
                "account": author.id,
                "given_at": self.at(given),
                "withdrawn_at": self.maybe_at(withdrawn),
                "observed_at": self.observed(given, withdrawn),
            }
