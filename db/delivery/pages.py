"""Deliver a page to a training client: its filter, and the one statement that reads it and writes its receipt.

A filter becomes clauses, each of which an index or the order of pages can serve.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import count, product
from random import random

import asyncpg

from db.connection import DeliveryPaused, Pool, Reader, connection
from db.policy.compile import page_columns

MAX_ID = 2**63 - 1
MAX_INDEX_SCANS = 24  # each takes 0.3 ms to begin
PERMITTED, OFFERED = "trainable_content", "offered_content"
"""The views from which pages are read: the items that the rules permit, and the offers among these items."""
ATTEMPTS: tuple[tuple[int | None, float], ...] = ((None, 2.0), (200_000, 2.0), (10_000, 1.0))
"""The attempts to fill a page. For each attempt: the number of ids to search after the cursor, and the time limit
in seconds. None means no limit of ids.

Skipping an item takes 1 to 7 microseconds. Many consecutive items might not qualify, so that a search without a limit
could run too long. All attempts together take no longer than the timeout of a statement.
"""


CHECKED_SHARE = 0.01
"""The share of pages of offers that are compared with the rules, in the page's own statement."""


@dataclass(frozen=True, slots=True)
class PageForm:
    """The form of a page's statement: its view, whether it has evidence, and whether it is compared with the rules."""

    view: str = PERMITTED
    with_evidence: bool = True
    is_checked: bool = False


BY_THE_RULES = PageForm()


@dataclass(frozen=True, slots=True)
class Sample:
    """A reproducible sample of all items: a key that is derived from the seed, and a share up to 1."""

    key: int
    share: float


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter of a page. None permits all values of a column, and an empty list permits none.

    `languages` are language ranges (RFC 4647, basic filtering); months are given by any day of theirs.
    """

    kinds: Sequence[str] | None = None
    products: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    regions: Sequence[str] | None = None
    grounds: Sequence[str] | None = None
    months: Sequence[date] | None = None
    from_month: date | None = None
    until_month: date | None = None
    media_types: Sequence[str] | None = None
    sample: Sample | None = None
    item: int | None = None
    medium: str | None = None
    """The digest of a file of the item, as `medium_digest` computes it."""


Narrowed = tuple[tuple[str, ...], ...]
"""The SQL clauses that filter a page: for each column the alternative clauses, with placeholders for the values."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivered page: its rows in the order of `db.policy.compile.page_columns`, with or without the evidence.

    `receipt` is the page's, None where the page is empty: nothing was delivered.
    """

    rows: list[asyncpg.Record] = field(repr=False)
    receipt: int | None
    decided_at: datetime
    policy: str
    has_next: bool
    looked_up_to: int | None = None


async def register_client(pool: Pool, name: str) -> int:
    """Store a training client to deliver to, or find it; return its number."""
    async with connection(pool) as borrowed:
        number: int = await borrowed.fetchval("SELECT grounds.register_client($1)", name)
        return number


async def client_names(reader: Reader) -> list[str]:
    """Read from the database the names of all training clients, delivered to or not."""
    return [row["name"] for row in await reader.fetch("SELECT name FROM grounds.client ORDER BY id")]


async def deliver_offers(
    pool: Pool,
    client: int,
    purpose: str,
    after: int,
    first: int,
    narrowed: Filter,
    *,
    with_evidence: bool = True,
) -> Delivered | None:
    """Read a page of offers and write its receipt, as `deliver` does by the rules.

    None where there are no offers, or where the rules do not permit one: some pages are compared (CHECKED_SHARE).
    """
    form = PageForm(OFFERED, with_evidence, is_checked=random() < CHECKED_SHARE)  # noqa: S311 - a sample
    rows, up_to = await _fetch_page(form, pool, client, purpose, after, first, narrowed)
    return _delivered(rows, first, up_to) if rows[-1]["has_next"] is not None else None


async def deliver(
    pool: Pool,
    client: int,
    purpose: str,
    after: int,
    first: int,
    narrowed: Filter,
    *,
    with_evidence: bool = True,
) -> Delivered:
    """Read a page of permitted items and write its receipt, in one statement and so in one snapshot and commit.

    A page that is not found in time is looked for in fewer items (ATTEMPTS), so that every page ends with a cursor.
    Raises QueryCanceledError where the database is too slow for that, too.

    The receipt is the last row. asyncpg hands rows out when the statement has committed, so that nothing is served
    that was not logged; never read this with a cursor. Raises DeliveryPaused where nothing may leave: the policy is
    about to be replaced, or an item is a canary, for which the statement committed a hold. A client is told the same.
    """
    form = PageForm(PERMITTED, with_evidence)
    rows, up_to = await _fetch_page(form, pool, client, purpose, after, first, narrowed)
    return _delivered(rows, first, up_to)


async def _fetch_page(
    form: PageForm, pool: Pool, client: int, purpose: str, after: int, first: int, narrowed: Filter
) -> tuple[list[asyncpg.Record], int | None]:
    """Fetch the rows of a delivered page, its receipt, and the last id that the search reached."""
    used, values = narrowing(narrowed)
    for window, seconds in ATTEMPTS if narrowed.item is None else ATTEMPTS[:1]:
        up_to = MAX_ID if window is None else min(after + window, MAX_ID)
        statement = page_statement(used, form)
        places = (str(client), purpose, after, first, up_to, *values)
        try:
            async with connection(pool) as borrowed:
                rows = await borrowed.fetch(statement, *places, timeout=seconds)
        except TimeoutError:
            continue
        return rows, None if window is None else up_to
    raise asyncpg.QueryCanceledError("a page took too long")


def _delivered(rows: list[asyncpg.Record], first: int, up_to: int | None) -> Delivered:
    """Separate a delivered page's receipt from its rows."""
    last = rows.pop()
    if last["id"] is not None:
        raise RuntimeError("a page has no receipt")
    if last["policy"] is None:
        raise DeliveryPaused
    has_next = bool(last["has_next"]) or up_to is not None
    looked_up_to = up_to if len(rows) < first else None
    return Delivered(rows, last["receipt"], last["decided_at"], last["policy"], has_next, looked_up_to)


# Those that have the most values come first: to walk one of theirs is short. A clause for one value, and one for many.
_COLUMNS = {
    "languages": (
        "language_base = ${}::text AND language_key >= ${}::text AND language_key < ${}::text",
        "language_base = ANY (${}::text[])",
    ),
    "months": ("created_month = ${}::date", "created_month = ANY (${}::date[])"),
    "regions": ("country = ${}::text", "country = ANY (${}::text[])"),
    "products": ("product = ${}::text", "product = ANY (${}::text[])"),
    "kinds": ("kind = ${}::text", "kind = ANY (${}::text[])"),
    "grounds": ("ground = ${}::text", "ground = ANY (${}::text[])"),
}
_EVERY_LANGUAGE = "*"
_HAS_MEDIUM = (  # see medium_digest
    "media IS NOT NULL AND EXISTS (SELECT FROM json_array_elements(media) medium WHERE left(encode(sha256(convert_to("
    "(medium ->> 'url') || ' ' || coalesce(medium ->> 'sha256', ''), 'UTF8')), 'hex'), 15) = ${}::text)"
)
_HASHES = 2**63


def narrowing(narrowed: Filter) -> tuple[Narrowed, list[object]]:
    """Write the SQL clauses of a delivered page for each column that a filter names, with their values.

    One value is compared by `=`: then its index is in the order of pages. Of several, each is an alternative of its
    own, so that a value that nothing has costs a look-up and not a walk along all items; above four they are filled up
    to a multiple of four, so that there are few statements. A column that would make more than MAX_INDEX_SCANS
    combinations is compared.
    """
    clauses: list[tuple[str, ...]] = []
    values: list[object] = []
    walks = 1
    for name, (one, many) in _COLUMNS.items():
        wanted = _wanted(narrowed, name)
        if wanted is None:
            continue
        alternatives = len(wanted) if len(wanted) <= 4 else -len(wanted) // 4 * -4
        if wanted and name != "grounds" and walks * alternatives <= MAX_INDEX_SCANS:
            walks *= alternatives
            clauses.append((one,) * alternatives)
            stated = [*wanted, *[None] * (alternatives - len(wanted))]
            values += [part for value in stated for part in (_bounds(value) if name == "languages" else (value,))]
        else:
            clauses.append((many,))
            values.append(wanted)
    for clause, value in _compared(narrowed):
        clauses.append((clause,))
        values += value
    return tuple(clauses), values


def _compared(narrowed: Filter) -> list[tuple[str, tuple[object, ...]]]:
    """Write the SQL clauses of a delivered page that are compared row by row, with their values."""
    compared: list[tuple[str, tuple[object, ...]]] = []
    if narrowed.languages is not None and _EVERY_LANGUAGE in narrowed.languages:
        compared.append(("language_key >= ${}::text", ("",)))
    if _months_between(narrowed) is None:
        if narrowed.from_month is not None:
            compared.append(("created_month >= ${}::date", (narrowed.from_month.replace(day=1),)))
        if narrowed.until_month is not None:
            compared.append(("created_month <= ${}::date", (narrowed.until_month.replace(day=1),)))
    if narrowed.media_types is not None:
        named = "lower(medium ->> 'type') = ANY (${}::text[])"
        compared.append(
            (
                f"media IS NOT NULL AND EXISTS (SELECT FROM json_array_elements(media) medium WHERE {named})",
                (narrowed.media_types,),
            )
        )
    if narrowed.sample is not None and narrowed.sample.share < 1:
        compared.append(
            (
                f"(hashint8extended(id, ${{}}::bigint) & {_HASHES - 1}) < ${{}}::bigint",
                (narrowed.sample.key, int(narrowed.sample.share * _HASHES)),
            )
        )
    if narrowed.item is not None:
        compared.append(("id = ${}::bigint", (narrowed.item,)))
    if narrowed.medium is not None:
        compared.append((_HAS_MEDIUM, (narrowed.medium,)))
    return compared


def medium_digest(url: str, sha256: str | None) -> str:
    """Hash the URL and SHA-256 of a delivered item's file to 60 bits in hexadecimal, for the address of the file."""
    return hashlib.sha256(f"{url} {sha256 or ''}".encode()).hexdigest()[:15]


def _wanted(narrowed: Filter, name: str) -> Sequence[object] | None:
    """Return the values of a column that a delivered page's filter wants; None for all."""
    if name == "languages":
        return None if narrowed.languages is None else distinct_ranges(narrowed.languages)
    if name == "months":
        between = _months_between(narrowed)
        if narrowed.months is None or between is None:
            return between if narrowed.months is None else narrowed.months
        return [month for month in narrowed.months if month in between]
    wanted: Sequence[object] | None = getattr(narrowed, name)
    return wanted


def _months_between(narrowed: Filter) -> list[date] | None:
    """List the months of a delivered page's filter, where they are few enough for an index scan each."""
    if narrowed.from_month is None or narrowed.until_month is None:
        return None
    first, last = (day.year * 12 + day.month - 1 for day in (narrowed.from_month, narrowed.until_month))
    if last - first >= MAX_INDEX_SCANS:
        return None
    return [date(month // 12, month % 12 + 1, 1) for month in range(first, last + 1)]


def distinct_ranges(ranges: Sequence[str]) -> list[str] | None:
    """Normalise the language ranges of a delivered page's filter, without those that another range includes."""
    lowered = sorted({wanted.lower() for wanted in ranges})
    if _EVERY_LANGUAGE in lowered:
        return None
    return [wanted for wanted in lowered if not any(wanted.startswith(f"{other}-") for other in lowered)]


def _bounds(wanted: object) -> tuple[object, object, object]:
    """Bound the language tags that a delivered page's filter wants, in byte order."""
    return (wanted.partition("-")[0], wanted, f"{wanted}.") if isinstance(wanted, str) else (None, None, None)


@lru_cache(maxsize=512)
def page_statement(used: Narrowed, form: PageForm = BY_THE_RULES) -> str:
    """Write the SQL of a delivered page: $1 client, $2 purpose, $3 after, $4 first, $5 up to, then the values.

    Each combination of alternatives is a walk along an index in the order of pages; they are merged as they come. The
    receipt is written before the first row is given, and where it names no policy, no row is.
    """
    columns = page_columns(with_evidence=form.with_evidence)
    listed = ", ".join(columns)
    places = count(6)
    placed = numbered_clauses(used, places)
    always = ("id > $3", "id <= $5", "claim.client IS NOT NULL", "claim.purpose IS NOT NULL")
    walks = "\n        UNION ALL ".join(
        f"(SELECT {listed} FROM grounds.{form.view}\n"
        f"         WHERE {' AND '.join((*always, *walk))}\n"
        "         ORDER BY id LIMIT $4::int + 1)"  # in order, or PostgreSQL would sort what it could merge
        for walk in product(*placed)
    )
    has_next = "coalesce(cardinality(x.items) > $4::int, FALSE)"
    if form.view == OFFERED:  # NULL where there are no offers to read from, or the rules do not permit one
        has_next = f"CASE WHEN x.agree AND grounds.offers_serve() THEN {has_next} END"
    agree = "grounds.offers_agree(array_agg(id))" if form.is_checked else "TRUE"
    return f"""
WITH page AS MATERIALIZED (
    SELECT p.*
    FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
          OFFSET 0) claim -- gone with the transaction
    CROSS JOIN LATERAL (
        SELECT {listed} FROM ({walks}) walk
        ORDER BY id LIMIT $4::int + 1) p
), written AS MATERIALIZED (
    SELECT r.receipt, r.decided_at, r.policy, {has_next} AS has_next
    FROM (SELECT array_agg(id) AS items, {agree} AS agree FROM page) x
    CROSS JOIN LATERAL grounds.write_receipt(CASE WHEN x.agree THEN x.items[:$4::int] END) r
)
(SELECT p.*, NULL::bigint AS receipt, NULL::timestamptz AS decided_at, NULL::text AS policy, NULL::boolean AS has_next
 FROM page p WHERE (SELECT w.policy FROM written w) IS NOT NULL LIMIT $4::int)
UNION ALL
SELECT {", ".join("NULL" for _ in columns)}, w.receipt, w.decided_at, w.policy, w.has_next FROM written w
"""


def numbered_clauses(used: Narrowed, places: Iterator[int]) -> list[list[str]]:
    """Number the parameters of the SQL clauses that filter a delivered page: the alternative clauses of each column."""
    return [
        [clause.format(*(next(places) for _ in range(clause.count("{}")))) for clause in alternatives]
        for alternatives in used
    ]
