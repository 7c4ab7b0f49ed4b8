"""The facts of the made-up platform, the same on every run."""

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from app.demo import phrases
from app.demo.frequencies import (
    ACCOUNT_KINDS,
    AUDIENCES,
    CHANNELS,
    COUNTRIES,
    DEIDENTIFIED,
    KINDS,
    MEDIA,
    MESSAGE_AUDIENCES,
    PRODUCTS,
    RELATIONS,
    SCANNERS,
    SCOPES,
    SOURCES,
    STATUSES,
    TARGETS,
    WITH_MEDIA,
    WORDLESS,
)
from app.demo.phrases import choose

Record = dict[str, Any]

_DAY = 86_400
_YEAR = 365.2425 * _DAY
_EPOCH = "2025-04"
_BATCH = 20


@dataclass(frozen=True, slots=True)
class _Author:
    number: int
    product: str
    country: str | None
    languages: tuple[str, ...]
    person: str | None
    born: date
    contacts: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"account-{self.number}"


def population_lines(items: int, now: datetime, seed: int = 2025) -> Iterator[bytes]:
    """Yield NDJSON lines: `items` content records, about items/5 accounts, their notices, objections and consents.

    The same arguments give the same bytes. Every instant lies before the midnight (UTC) that begins the day of `now`,
    at a distance drawn from the seed alone, so that the population looks alike on any day. Memory does not grow
    with `items`. ValueError for a negative number of items or a `now` without offset.
    """
    if items < 0:
        raise ValueError(f"population: {items} items cannot be generated (ask for 0 or more)")
    if now.tzinfo is None:
        raise ValueError("population: now has no offset (pass an aware datetime, like datetime.now(UTC))")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = _RecordGenerator(items, midnight, seed)
    return (orjson.dumps(record, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE) for record in world.records())


class _RecordGenerator:
    """A generator of records; times are whole seconds before midnight, so none lies in the future."""

    def __init__(self, items: int, midnight: datetime, seed: int) -> None:
        self.items = items
        self.accounts = max(1, items // 5)
        self.midnight = midnight
        self.random = Random(seed)  # noqa: S311 - the population is no secret, it has to come out the same each time
        self.draw = self.random.random
        self.contents = 0
        self.objections = 0
        self.posts: dict[tuple[str, str], deque[tuple[str, int]]] = defaultdict(lambda: deque(maxlen=24))
        self.shown: dict[tuple[str, str], deque[tuple[str, int]]] = defaultdict(lambda: deque(maxlen=6))

    def records(self) -> Iterator[Record]:
        """Yield everything, a batch of accounts at a time: their facts, then what they wrote, in turn."""
        last: _Author | None = None
        for start in range(0, self.accounts, _BATCH):
            authors: list[_Author] = []
            late: list[Record] = []
            for number in range(start, min(start + _BATCH, self.accounts)):
                last = self._author(number, last)
                authors.append(last)
                account = self._account(last)
                if self._chance(0.05):
                    late.append(account)
                else:
                    yield account
                yield from self._notices(last)
                yield from self._objections(last)
                yield from self._consents(last)
            while self.contents < self.items * (start + len(authors)) // self.accounts:
                # A few write much, most write little.
                yield self._content(authors[int(len(authors) * self.draw() ** 1.6)])
            yield from late

    def _chance(self, probability: float) -> bool:
        return self.draw() < probability

    def _ago(self, at_least: float, at_most: float) -> int:
        return int(at_least + (at_most - at_least) * self.draw())

    def _at(self, ago: int) -> datetime:
        return self.midnight - timedelta(seconds=ago)

    def _maybe_at(self, ago: int | None) -> datetime | None:
        return None if ago is None else self._at(ago)

    def _observed(self, *agos: int | None) -> datetime:
        latest = min(ago for ago in agos if ago is not None)
        return self._at(max(0, latest - 60 - int(2 * _DAY * self.draw())))

    def _author(self, number: int, last: _Author | None) -> _Author:
        product = choose(self.draw, PRODUCTS)
        if last and last.person and self._chance(0.18):
            born = self._born() if self._chance(0.04) else last.born
            return _Author(number, product, last.country, last.languages, last.person, born, last.contacts)
        country = None if self._chance(0.015) else choose(self.draw, COUNTRIES)
        languages = phrases.languages_of_country(country)
        person = None if self._chance(0.1) else f"person-{number}"
        count = choose(self.draw, (0, 1, 1, 1, 1, 1, 1, 1, 1, 2))
        contacts = tuple(_address_hash(number, box) for box in range(count))
        return _Author(number, product, country, languages, person, self._born(), contacts)

    def _born(self) -> date:
        u = self.draw()
        if u < 0.025:
            age = self._ago(13 * _YEAR, 18 * _YEAR)
        elif u < 0.035:
            age = self._ago(18 * _YEAR - 3 * _DAY, 18 * _YEAR + 3 * _DAY)
        elif u < 0.1:
            age = self._ago(18 * _YEAR, 24 * _YEAR)
        else:
            age = int((22 + 62 * self.draw() ** 1.4) * _YEAR)
        born = self._at(age).date()
        # The birthdays that are most often computed wrongly.
        return born.replace(year=born.year // 4 * 4, month=2, day=29) if self._chance(0.01) else born

    def _stated_birth(self, born: date) -> str | None:
        u = self.draw()
        if u < 0.86:
            return born.isoformat()
        if u < 0.91:
            return f"{born:%Y-%m}"
        return f"{born.year}" if u < 0.96 else None

    def _account(self, author: _Author) -> Record:
        joined = self._ago(1.5 * _YEAR, 12 * _YEAR)
        status = choose(self.draw, STATUSES)
        since: int | None = joined if status == "ACTIVE" else self._ago(0, joined)
        if self._chance(0.03):
            since = self._ago(0, 14 * _DAY) if self._chance(0.7) else None
        windows: list[tuple[int, int | None]] = []
        while self._chance(0.04):
            start = self._ago(5 * _DAY, 3 * _YEAR)
            windows.append((start, None if self._chance(0.05) else max(0, start - self._ago(0, 120 * _DAY))))
        return {
            "record": "account",
            "id": author.id,
            "person": author.person,
            "product": author.product,
            "kind": choose(self.draw, ACCOUNT_KINDS),
            "born_on": self._stated_birth(author.born),
            "country": author.country,
            "status": status,
            "status_since": self._maybe_at(since),
            "compromised": [{"from": self._at(start), "to": self._maybe_at(end)} for start, end in windows],
            "contacts": author.contacts,
            "observed_at": self._observed(
                self._ago(0, 30 * _DAY), since, *(ago for window in windows for ago in window)
            ),
        }

    def _notices(self, author: _Author) -> Iterator[Record]:
        u = self.draw()
        if u < 0.04:
            return
        sent = self._ago(0, 33 * _DAY) if u < 0.08 else self._ago(60 * _DAY, 520 * _DAY)
        for channel, share in (("IN_APP", 0.97), ("EMAIL", 0.75)):
            if not self._chance(share):
                continue
            delivered = bounced = None
            if self._chance(0.95):
                delivered = max(0, sent - int(6 * _DAY * self.draw() ** 6))
            if channel == "EMAIL" and self._chance(0.06):
                # Some post offices take a letter and return it later.
                bounced = max(0, sent - self._ago(60, 9 * _DAY))
                delivered = delivered if self._chance(0.4) else None
            yield {
                "record": "notice",
                "id": f"notice-{author.number}-{channel}",
                "account": author.id,
                "channel": channel,
                "epoch": "2024-06" if self._chance(0.02) else _EPOCH,
                "sent_at": self._at(sent),
                "delivered_at": self._maybe_at(delivered),
                "bounced_at": self._maybe_at(bounced),
                "observed_at": self._observed(sent, delivered, bounced),
            }

    def _objections(self, author: _Author) -> Iterator[Record]:
        while self._chance(0.05):
            received = int(520 * _DAY * self.draw() ** 1.5)
            withdrawn = None
            if self._chance(0.18):
                withdrawn = self._ago(0, 28 * _DAY) if self._chance(0.4) else self._ago(0, received)
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
                "received_at": self._at(received),
                "channel": choose(self.draw, CHANNELS),
                "withdrawn_at": self._maybe_at(withdrawn),
                "observed_at": self._observed(received, withdrawn),
            }
            self.objections += 1

    def _contact(self, author: _Author) -> str | None:
        if self._chance(0.1):
            return sha256(f"nobody-{self.objections}@example.org".encode()).hexdigest()
        return author.contacts[0] if author.contacts else None

    def _consents(self, author: _Author) -> Iterator[Record]:
        if self._chance(0.02):
            given = self._ago(0, 400 * _DAY)
            withdrawn = self._ago(0, given) if self._chance(0.25) else None
            yield {
                "record": "consent",
                "id": f"consent-{author.number}",
                "account": author.id,
                "given_at": self._at(given),
                "withdrawn_at": self._maybe_at(withdrawn),
                "observed_at": self._observed(given, withdrawn),
            }

    def _content(self, author: _Author) -> Record:
        draw = self.draw
        number = self.contents
        self.contents += 1
        item = f"content-{number}"
        language = "en" if draw() < 0.03 else choose(draw, author.languages)
        kind = choose(draw, KINDS[author.product])
        created = int((400 if kind == "AI_INTERACTION" else 3_300) * _DAY * draw() ** 2)
        kind, parent, created = self._placed(kind, (author.product, language), number, created)
        audience, audience_since = self._audience(kind, created)
        edited = int(created * draw()) if draw() < 0.06 else None
        deleted = int(created * draw()) if draw() < 0.035 else None
        record = {
            "record": "content",
            "id": item,
            "account": author.id,
            "kind": kind,
            "audience": audience,
            "audience_since": self._maybe_at(audience_since),
            "conversation": self._conversation(kind),
            **self._wording(kind, language, author.country, item),
            "created_at": self._at(created),
            "edited_at": self._maybe_at(edited),
            "deleted_at": self._maybe_at(deleted),
            "parent": parent,
            "references": self._references(kind) if draw() < 0.07 else [],
            "scans": self._scans() if draw() < 0.06 else dict.fromkeys(SCANNERS, "CLEAR"),
            "observed_at": self._observed(created, audience_since, edited, deleted),
        }
        # A platform may leave out what it would state as null.
        return {name: value for name, value in record.items() if value is not None} if draw() < 0.02 else record

    def _placed(self, kind: str, among: tuple[str, str], number: int, created: int) -> tuple[str, str | None, int]:
        """Let a comment stand under a post and a caption under a medium, where there are any; else it is one itself."""
        posts, shown = self.posts[among], self.shown[among]
        parent = None
        if kind in ("COMMENT", "CAPTION"):
            parents = posts if kind == "COMMENT" else shown
            if parents:
                parent, created = self._parent(number, parents)
            else:
                kind = "POST" if kind == "COMMENT" else "PHOTO"
        if kind in WITH_MEDIA:
            posts.append((f"content-{number}", created))
        if kind in MEDIA or kind == "PHOTO":
            shown.append((f"content-{number}", created))
        return kind, parent, created

    def _parent(self, number: int, posts: deque[tuple[str, int]]) -> tuple[str | None, int]:
        parent, posted = choose(self.draw, posts)
        created = max(0, posted - int(40 * _DAY * self.draw() ** 4))
        u = self.draw()
        if u < 0.02:
            return None, created
        if u < 0.05:
            return f"content-{self.items + number}", created
        return (f"content-{number + self._ago(1, 30)}" if u < 0.08 else parent), created

    def _audience(self, kind: str, created: int) -> tuple[str | None, int | None]:
        if kind == "AI_INTERACTION":
            return None, None
        if kind.endswith("MESSAGE"):
            return choose(self.draw, MESSAGE_AUDIENCES), created
        u = self.draw()
        if u > 0.1:
            since: int | None = created
        elif u > 0.015:
            since = int(created * self.draw())
        else:
            since = None if u < 0.005 else self._ago(0, min(created, 7 * _DAY))
        return (None if self._chance(0.003) else choose(self.draw, AUDIENCES)), since

    def _conversation(self, kind: str) -> str | None:
        if kind != "AI_INTERACTION" or self._chance(0.01):
            return None
        return "GROUP" if self._chance(0.06) else "ASSISTANT_ONLY"

    def _wording(self, kind: str, language: str, country: str | None, item: str) -> Record:
        draw = self.draw
        text: str | None = None
        if draw() >= WORDLESS.get(kind, 0.003):
            text = (
                phrases.compose_text(kind, language, draw)
                if draw() < 0.999
                else phrases.compose_long_text(language, draw)
            )
        rights = self._rights() if draw() < 0.05 else []
        if text and any(right["source"] == "NATURAL_LANGUAGE" for right in rights):
            text = f"{text} {phrases.phrasebooks()[language].reservation}"
        tag = f"{language}-{country}" if country and draw() < 0.02 else language
        return {
            "language": None if text is None or draw() < 0.01 else tag,
            "text": text,
            "media": self._media(kind, item) if draw() < WITH_MEDIA.get(kind, 0) else [],
            "rights": rights,
        }

    def _rights(self) -> list[Record]:
        sources = {choose(self.draw, SOURCES) for _ in range(choose(self.draw, (1, 1, 1, 2)))}
        return [
            {
                "source": source,
                "train_ai": "n" if source == "NATURAL_LANGUAGE" else choose(self.draw, ("y", "n", "n", "unknown")),
            }
            for source in sorted(sources)
        ]

    def _media(self, kind: str, item: str) -> list[Record]:
        media_type, suffix = MEDIA.get(kind, ("image/jpeg", "jpg"))
        count = 1 if kind in MEDIA else choose(self.draw, (1, 1, 1, 1, 2, 3))
        return [
            {
                "type": media_type,
                "url": f"https://media.example.org/{item}/{position}.{suffix}",
                "sha256": f"{self.random.getrandbits(256):064x}",
                "deidentified": choose(self.draw, DEIDENTIFIED),
            }
            for position in range(1, count + 1)
        ]

    def _references(self, kind: str) -> list[Record]:
        if kind.endswith("MESSAGE") or kind == "AI_INTERACTION":
            return []
        return [self._reference() for _ in range(choose(self.draw, (1, 1, 1, 2, 3)))]

    def _reference(self) -> Record:
        # The last few percent name accounts that never arrive, and some addresses belong to no account.
        number = int(self.accounts * 1.03 * self.draw())
        relation = choose(self.draw, RELATIONS)
        if number % 8 == 0:
            return {"contact": _address_hash(number, 0), "relation": relation}
        return {"account": f"account-{number}", "relation": relation}

    def _scans(self) -> Record:
        return {
            scanner: finding
            for scanner in SCANNERS
            if (finding := choose(self.draw, ("CLEAR", "CLEAR", "FLAGGED", None)))
        }


def _address_hash(number: int, box: int) -> str:
    return sha256(f"somebody-{number}-{box}@example.org".encode()).hexdigest()
