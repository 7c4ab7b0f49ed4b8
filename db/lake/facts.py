"""The facts of a lake: which tables and columns decisions read, and the statements that export them.

The lake has no name of the platform: items, accounts and media are numbers. No text is a fact. A birth date is exported
only as far as a decision can depend on it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from db.lake.dialects import EARLIEST, LATEST
from db.policy.document import sql_instant
from db.policy.parameters import text_array
from db.vocabulary import PRIVATE_KINDS

DANGLING: Final = -1
"""The number of a parent that the database does not have."""


class ColumnType(StrEnum):
    """The types of a lake's columns."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"
    INSTANT = "instant"
    DATE = "date"
    TEXTS = "texts"
    INSTANTS = "instants"
    SPANS = "spans"


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """A column of a lake, and the SQL that exports it."""

    name: str
    type: ColumnType
    sql: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A table of a lake. `numbered` is the table with the number that orders its rows, the `key`.

    `source` is what a statement reads the rows from.
    """

    name: str
    numbered: str
    source: str
    key: str
    columns: tuple[LakeColumn, ...]
    where: str = "TRUE"

    def statement(self, now: str) -> str:
        """Write the statement that exports the rows from a number ($1) to another ($2), at an instant in SQL."""
        listed = ", ".join(f"{column.sql} AS {column.name}" for column in self.columns)
        between = f"{self.key} BETWEEN $1::bigint AND $2::bigint"
        statement = f"SELECT {listed} FROM {self.source} WHERE {between} AND {self.where} ORDER BY {self.key}"
        return statement.replace("{now}", now)

    def range_statement(self) -> str:
        """Write the statement that reads the first and the last number of the key."""
        return f"SELECT min({self.key}), max({self.key}) FROM {self.numbered}"

    def names(self) -> frozenset[str]:
        """Return the names of a lake's columns."""
        return frozenset(column.name for column in self.columns)


def _numbers(table: str, *names: str) -> tuple[LakeColumn, ...]:
    """Declare columns of a lake that are numbers."""
    return tuple(LakeColumn(name, ColumnType.NUMBER, f"{table}.{name}") for name in names)


def _texts(table: str, *names: str) -> tuple[LakeColumn, ...]:
    """Declare columns of a lake that are texts of a vocabulary."""
    return tuple(LakeColumn(name, ColumnType.TEXT, f"{table}.{name}") for name in names)


def _truths(table: str, *names: str) -> tuple[LakeColumn, ...]:
    """Declare columns of a lake that are truth values."""
    return tuple(LakeColumn(name, ColumnType.TRUTH, f"{table}.{name}") for name in names)


def _dates(table: str, *names: str) -> tuple[LakeColumn, ...]:
    """Declare columns of a lake that are dates. An infinite one stays in the range of all engines."""
    clamp = "greatest(least({0}, date '{1:%Y-%m-%d}'), date '{2:%Y-%m-%d}')"
    return tuple(
        LakeColumn(name, ColumnType.DATE, f"CASE WHEN {table}.{name} IS NOT NULL THEN "
               f"{clamp.format(f'{table}.{name}', LATEST, EARLIEST)} END") for name in names
    )  # fmt: skip


def _instants(table: str, *names: str) -> tuple[LakeColumn, ...]:
    """Declare columns of a lake that are instants."""
    return tuple(LakeColumn(name, ColumnType.INSTANT, _finite(f"{table}.{name}")) for name in names)


def _finite(instant: str) -> str:
    """Write an instant in the range that all engines have; least and greatest alone would pass NULL over."""
    low, high = sql_instant(EARLIEST), sql_instant(LATEST)
    return f"CASE WHEN {instant} IS NOT NULL THEN greatest(least({instant}, {high}), {low}) END"


def _age(name: str, table: str, first: str, last: str) -> LakeColumn:
    """Declare an instant that depends on a birth date: exact only between the instants to which it is compared."""
    instant, low, high = f"{table}.{name}", sql_instant(EARLIEST), sql_instant(LATEST)
    coarse = f"CASE WHEN {instant} <= {first} THEN {low} WHEN {instant} > {last} THEN {high} ELSE {instant} END"
    return LakeColumn(name, ColumnType.INSTANT, coarse)


def _microseconds(instant: str) -> str:
    """Write an instant as microseconds since 1970."""
    return f"(extract(epoch FROM {_finite(instant)}) * 1000000)::bigint"


_LISTED: Final = "(SELECT json_agg({0} ORDER BY n) FROM unnest(s.{1}) WITH ORDINALITY u (value, n))"
_SPANS: Final = f"""CASE WHEN s.compromised IS NOT NULL THEN coalesce((
    SELECT json_agg(json_build_array(
        CASE WHEN lower(r) IS NULL THEN {_microseconds("timestamptz '-infinity'")}
            ELSE {_microseconds("lower(r)")} + CASE WHEN lower_inc(r) OR NOT isfinite(lower(r)) THEN 0 ELSE 1 END END,
        CASE WHEN upper(r) IS NULL THEN {_microseconds("timestamptz 'infinity'")}
            ELSE {_microseconds("upper(r)")} + CASE WHEN upper_inc(r) AND isfinite(upper(r)) THEN 1 ELSE 0 END END)
        ORDER BY r)
    FROM unnest(s.compromised) r), '[]') END"""


def _list(name: str, kind: ColumnType) -> LakeColumn:
    """Declare a column of a lake that is a list, exported as JSON; an empty list stays one."""
    value = _microseconds("value") if kind is ColumnType.INSTANTS else "value"
    listed = _LISTED.format(value, name)
    return LakeColumn(name, kind, f"CASE WHEN s.{name} IS NOT NULL THEN coalesce({listed}, '[]') END")


PRIVATE: Final = (
    f"c.kind IN ({text_array(sorted(PRIVATE_KINDS))})"
    " AND NOT EXISTS (SELECT FROM grounds.content u WHERE u.parent = c.platform_id)"
)
"""The items that a lake does not contain: private messages, except a message that is the parent of another item."""
_FIRST_ITEM: Final = "least({now}, i.first_item)"
_LAST_ITEM: Final = "greatest({now}, i.last_item)"

_PARENT: Final = f"CASE WHEN c.parent IS NOT NULL THEN coalesce(p.id, {DANGLING}) END"

FACTS: Final = (
    Facts(
        "content",
        "grounds.content c",
        "grounds.content c LEFT JOIN grounds.content p ON p.platform_id = c.parent"
        " LEFT JOIN grounds.content m ON m.platform_id = c.family",
        "c.id",
        (
            *_numbers("c", "id", "account"),
            LakeColumn("platform_id", ColumnType.NUMBER, "c.id"),
            LakeColumn(
                "parent", ColumnType.NUMBER, f"CASE WHEN c.parent IS NOT NULL THEN coalesce(p.id, {DANGLING}) END"
            ),
            LakeColumn("family", ColumnType.NUMBER, "m.id"),
            *_numbers("c", "reference_count", "pipeline"),
            *_texts("c", "kind", "audience", "conversation", "special_category", "safety", "minors"),
            *_truths("c", "concerns_family", "has_references", "needs_minors_scan", "reserved", "names_sought"),
            *_truths("c", "media_deidentified"),
            *_instants(
                "c", "created_at", "settled_at", "deleted_at", "audience_since", "observed_at", "quarantined_at"
            ),
            *_instants("c", "reverted_at", "revised_at"),
            *_dates("c", "created_month", "settled_month", "audience_month"),
        ),
        where=f"NOT ({PRIVATE})",
    ),
    Facts(
        "account_standing",
        "grounds.account_standing s",
        "grounds.account_standing s LEFT JOIN LATERAL (SELECT min(c.created_at) AS first_item,"
        " max(c.created_at) AS last_item FROM grounds.content c WHERE c.account = s.account) i ON TRUE",
        "s.account",
        (
            *_numbers("s", "account"),
            *_texts("s", "product", "kind", "country", "status", "notice_epoch"),
            *_truths("s", "is_known", "quarantined", "person_quarantined", "reserved"),
            *_instants("s", "status_since", "notice_delivered_at", "notice_effective_from", "objected_public_until"),
            *_instants("s", "objected_ai_until", "opted_in_since", "held_until", "reverted_at"),
            *_instants("s", "birth_date_reverted_at"),
            _age("adult_from", "s", _FIRST_ITEM, _LAST_ITEM),
            _age("minor_until", "s", _FIRST_ITEM, _LAST_ITEM),
            _list("later_epochs", ColumnType.TEXTS),
            _list("later_deliveries", ColumnType.INSTANTS),
            _list("later_ends", ColumnType.INSTANTS),
            LakeColumn("compromised", ColumnType.SPANS, _SPANS),
            *_dates("s", "status_month", "notice_week", "notice_end_week", "opted_in_month"),
        ),
        where="(i.first_item IS NOT NULL OR EXISTS ("
        "SELECT FROM grounds.content_reference r WHERE r.account = s.account))",
    ),
    Facts(
        "content_reference",
        "grounds.content_reference r",
        "grounds.content_reference r JOIN grounds.content c ON c.id = r.content",
        "r.content",
        _numbers("r", "content", "account", "contact"),
        where=f"NOT ({PRIVATE})",
    ),
    Facts(
        "referenced_contact",
        "grounds.referenced_contact o",
        "grounds.referenced_contact o",
        "o.id",
        (
            *_numbers("o", "id"),
            *_truths("o", "is_known", "quarantined", "person_quarantined"),
            *_instants("o", "objected_public_until", "birth_date_reverted_at"),
            _age("adult_from", "o", "{now}", "{now}"),
            _age("minor_until", "o", "{now}", "{now}"),
        ),
    ),
    Facts(
        "family",
        "grounds.content m",
        "grounds.family f JOIN grounds.content m ON m.platform_id = f.id",
        "m.id",
        (
            LakeColumn("id", ColumnType.NUMBER, "m.id"),
            *_numbers("f", "quarantined", "reference_count"),
            *_truths("f", "unreserved", "no_special_category", "safe", "no_minor"),
            *_instants("f", "reverted_at"),
        ),
    ),
)
"""The tables of a lake, in the order in which they are exported."""
