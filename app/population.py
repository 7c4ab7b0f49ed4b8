"""Make up a population for `grounds demo`: deterministic facts in the ingest format of SPEC.md."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from app import phrases
from app.phrases import pick

Record = dict[str, Any]

_DAY = 86_400
_YEAR = 365.2425 * _DAY
_EPOCH = "2025-04"
_BATCH = 20


def _weighted(weights: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(name for name, weight in weights.items() for _ in range(weight))


_PRODUCTS = _weighted({"FACEBOOK": 55, "INSTAGRAM": 37, "MESSENGER": 5, "WHATSAPP": 3})
_KINDS = {
    "FACEBOOK": _weighted(
        {"POST": 40, "COMMENT": 25, "PHOTO": 12, "AI_INTERACTION": 13, "VIDEO": 4, "AUDIO": 1}
        | {"PRIVATE_MESSAGE": 3, "BUSINESS_MESSAGE": 2}
    ),
    "INSTAGRAM": _weighted(
        {"CAPTION": 26, "PHOTO": 22, "COMMENT": 24, "AI_INTERACTION": 12, "VIDEO": 6, "POST": 6}
        | {"PRIVATE_MESSAGE": 3, "BUSINESS_MESSAGE": 1}
    ),
    "MESSENGER": _weighted({"AI_INTERACTION": 45, "PRIVATE_MESSAGE": 45, "BUSINESS_MESSAGE": 10}),
    "WHATSAPP": _weighted({"PRIVATE_MESSAGE": 70, "AI_INTERACTION": 15, "BUSINESS_MESSAGE": 15}),
}

# About one for each 1.5 million inhabitants; the smallest countries count double so that their languages are seen.
_COUNTRIES = _weighted(
    {"DE": 56, "FR": 45, "IT": 39, "ES": 33, "PL": 24, "RO": 13, "NL": 12, "BE": 8, "CZ": 7, "SE": 7, "PT": 7, "GR": 7}
    | {"HU": 6, "AT": 6, "BG": 4, "DK": 4, "FI": 4, "NO": 4, "SK": 4, "IE": 4, "HR": 3, "LT": 2, "SI": 2, "LV": 2}
    | {"EE": 2, "CY": 1, "LU": 1, "MT": 2, "IS": 2, "LI": 1}
    | {"US": 4, "GB": 4, "CH": 2}
)

_ACCOUNT_KINDS = _weighted({"PERSONAL": 94, "PAGE": 4, "BUSINESS": 2})
_STATUSES = _weighted(
    {"ACTIVE": 95, "DEACTIVATED": 1, "DELETION_PENDING": 1, "DELETED": 1, "MEMORIALISED": 1, "SUSPENDED": 1}
)
_AUDIENCES = _weighted({"PUBLIC": 74, "FRIENDS": 15, "GROUP": 7, "ONLY_ME": 4})
_MESSAGE_AUDIENCES = _weighted({"ONLY_ME": 85, "GROUP": 14, "PUBLIC": 1})
_SCOPES = _weighted({"ALL": 6, "PUBLIC_CONTENT": 3, "AI_INTERACTIONS": 1})
_TARGETS = _weighted({"account": 6, "person": 2, "contact": 2})
_CHANNELS = _weighted({"FORM": 70, "EMAIL": 14, "LETTER": 6, "API": 6, "THIRD_PARTY": 4})
_RELATIONS = ("TAG", "MENTION", "COAUTHOR", "DEPICTED", "QUOTE")
_SOURCES = ("AIPREF", "TDMREP", "C2PA", "PLATFORM", "NATURAL_LANGUAGE")
_MEDIA = {"VIDEO": ("video/mp4", "mp4"), "AUDIO": ("audio/mpeg", "mp3")}
_WITH_MEDIA = {"PHOTO": 1.0, "VIDEO": 1.0, "AUDIO": 1.0, "CAPTION": 0.5, "POST": 0.15}
_DEIDENTIFIED = (*(True,) * 27, False, False, None)
_WORDLESS = {"PHOTO": 0.4, "VIDEO": 0.4, "AUDIO": 0.6}


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


def population(items: int, now: datetime, seed: int = 2025) -> Iterator[bytes]:
    """Yield NDJSON lines: `items` content records, about items/5 accounts, their notices, objections and consents.

    The same arguments give the same bytes. Every instant lies before the midnight (UTC) that begins the day of `now`,
    at a distance drawn from the seed alone, so that the population looks alike on any day. Memory does not grow
    with `items`. ValueError for a negative number of items or a `now` without offset.
    """
    if items < 0:
        raise ValueError(f"population: {items} items cannot be made up (ask for 0 or more)")
    if now.tzinfo is None:
        raise ValueError("population: now has no offset (pass an aware datetime, like datetime.now(UTC))")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = _World(items, midnight, seed)
    return (orjson.dumps(record, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE) for record in world.records())


class _World:
    """Draw one record after the other; moments are whole seconds before midnight, so none lies in the future."""

    def __init__(self, items: int, midnight: datetime, seed: int) -> None:
        self.items = items
        self.accounts = max(1, items // 5)
        self.midnight = midnight
        self.random = Random(seed)  # noqa: S311 - the population is no secret, it has to come out the same each time
        self.draw = self.random.random
        self.contents = 0
        self.objections = 0
        self.posts: dict[tuple[str, str], deque[tuple[str, int]]] = defaultdict(lambda: deque(maxlen=24))

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
        product = pick(self.draw, _PRODUCTS)
        if last and last.person and self._chance(0.18):
            born = self._born() if self._chance(0.04) else last.born
            return _Author(number, product, last.country, last.languages, last.person, born, last.contacts)
        country = None if self._chance(0.015) else pick(self.draw, _COUNTRIES)
        languages = phrases.spoken_in(country)
        person = None if self._chance(0.1) else f"person-{number}"
        count = pick(self.draw, (0, 1, 1, 1, 1, 1, 1, 1, 1, 2))
        contacts = tuple(sha256(f"somebody-{number}-{box}@example.org".encode()).hexdigest() for box in range(count))
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
        # Nobody else's birthday is as likely to be computed wrongly.
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
        status = pick(self.draw, _STATUSES)
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
            "kind": pick(self.draw, _ACCOUNT_KINDS),
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
            target = pick(self.draw, _TARGETS)
            if targets[target] is None:
                target = "account"
            yield {
                "record": "objection",
                "id": f"objection-{self.objections}",
                target: targets[target],
                "scope": pick(self.draw, _SCOPES),
                "received_at": self._at(received),
                "channel": pick(self.draw, _CHANNELS),
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
        language = "en" if draw() < 0.03 else pick(draw, author.languages)
        kind = pick(draw, _KINDS[author.product])
        created = int((400 if kind == "AI_INTERACTION" else 3_300) * _DAY * draw() ** 2)
        posts = self.posts[author.product, language]
        parent = None
        if kind == "COMMENT" and not posts:
            kind = "POST"
        if kind == "COMMENT":
            parent, created = self._parent(number, posts)
        elif kind in _WITH_MEDIA:
            posts.append((item, created))
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
            **self._wording(kind, language, author.country, item),
            "created_at": self._at(created),
            "edited_at": self._maybe_at(edited),
            "deleted_at": self._maybe_at(deleted),
            "parent": parent,
            "references": self._references(kind) if draw() < 0.07 else [],
            "scans": self._scans() if draw() < 0.06 else {"special_category": "CLEAR", "safety": "CLEAR"},
            "observed_at": self._observed(created, audience_since, edited, deleted),
        }
        # A platform may leave out what it would state as null.
        return {name: value for name, value in record.items() if value is not None} if draw() < 0.02 else record

    def _parent(self, number: int, posts: deque[tuple[str, int]]) -> tuple[str | None, int]:
        parent, posted = pick(self.draw, posts)
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
            return pick(self.draw, _MESSAGE_AUDIENCES), created
        u = self.draw()
        if u > 0.1:
            since: int | None = created
        elif u > 0.015:
            since = int(created * self.draw())
        else:
            since = None if u < 0.005 else self._ago(0, min(created, 7 * _DAY))
        return (None if self._chance(0.003) else pick(self.draw, _AUDIENCES)), since

    def _wording(self, kind: str, language: str, country: str | None, item: str) -> Record:
        draw = self.draw
        text: str | None = None
        if draw() >= _WORDLESS.get(kind, 0.003):
            text = phrases.text(kind, language, draw) if draw() < 0.999 else phrases.long_text(language, draw)
        rights = self._rights() if draw() < 0.05 else []
        if text and any(right["source"] == "NATURAL_LANGUAGE" for right in rights):
            text = f"{text} {phrases.phrasebooks()[language].reservation}"
        tag = f"{language}-{country}" if country and draw() < 0.02 else language
        return {
            "language": None if text is None or draw() < 0.01 else tag,
            "text": text,
            "media": self._media(kind, item) if draw() < _WITH_MEDIA.get(kind, 0) else [],
            "rights": rights,
        }

    def _rights(self) -> list[Record]:
        sources = {pick(self.draw, _SOURCES) for _ in range(pick(self.draw, (1, 1, 1, 2)))}
        return [
            {
                "source": source,
                "train_ai": "n" if source == "NATURAL_LANGUAGE" else pick(self.draw, ("y", "n", "n", "unknown")),
            }
            for source in sorted(sources)
        ]

    def _media(self, kind: str, item: str) -> list[Record]:
        media_type, suffix = _MEDIA.get(kind, ("image/jpeg", "jpg"))
        count = 1 if kind in _MEDIA else pick(self.draw, (1, 1, 1, 1, 2, 3))
        return [
            {
                "type": media_type,
                "url": f"https://media.example.org/{item}/{position}.{suffix}",
                "sha256": f"{self.random.getrandbits(256):064x}",
                "deidentified": pick(self.draw, _DEIDENTIFIED),
            }
            for position in range(1, count + 1)
        ]

    def _references(self, kind: str) -> list[Record]:
        if kind.endswith("MESSAGE") or kind == "AI_INTERACTION":
            return []
        # The last few percent name accounts that never arrive.
        return [
            {
                "account": f"account-{int(self.accounts * 1.03 * self.draw())}",
                "relation": pick(self.draw, _RELATIONS),
            }
            for _ in range(pick(self.draw, (1, 1, 1, 2, 3)))
        ]

    def _scans(self) -> Record:
        return {
            scanner: finding
            for scanner in ("special_category", "safety")
            if (finding := pick(self.draw, ("CLEAR", "CLEAR", "FLAGGED", None)))
        }
