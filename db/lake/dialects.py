"""The engines that decide on a lake, and how each writes what the rules need and engines write differently."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

EARLIEST: Final = datetime(1600, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""The times that replace `-infinity` and `infinity` in a lake, because some engines do not have these values."""


class LakeCompileError(Exception):
    """A rule that cannot be compiled for another engine: which condition, and what of it."""


class DialectName(StrEnum):
    """The names of the engines for which the rules can be compiled."""

    DUCKDB = "duckdb"
    SPARK = "spark"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL of an engine. In templates, {0} and {1} are SQL, and an argument that is NULL gives NULL.

    `contains` tests a list for a value, `overlaps` two lists for a common value. `first_due` cuts a list to as many
    values as a second one, in ascending order, has instants that are due. `earliest_of` is the earliest of a list of
    instants whose place in another list has a value of a third. `covers` tests ranges for an instant.
    """

    name: DialectName
    text: str
    quote: str
    instant: str
    empty_list: str
    list_of: str
    contains: str
    overlaps: str
    first_due: str
    earliest_of: str
    covers: str
    week: str

    def quoted(self, name: str) -> str:
        """Write the name of a column of a lake."""
        return f"{self.quote}{name}{self.quote}"

    def literal(self, text: str) -> str:
        """Write a text as an SQL literal. Raises ValueError for one that engines read differently."""
        if "\\" in text or not text.isprintable():
            raise ValueError("a text with a backslash or a control character")
        return "'" + text.replace("'", "''") + "'"

    def instant_literal(self, at: datetime) -> str:
        """Write an instant as an SQL literal with its offset, so that no session's time zone moves it."""
        kept = max(EARLIEST, min(at.astimezone(UTC), LATEST))
        return self.instant.format(kept.strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))

    def texts(self, values: list[str]) -> str:
        """Write a list of texts."""
        return self.list_of.format(", ".join(map(self.literal, values))) if values else self.empty_list


DIALECTS: Final = {
    DialectName.DUCKDB: Dialect(
        name=DialectName.DUCKDB,
        text="VARCHAR",
        quote='"',
        instant="TIMESTAMPTZ '{0}'",
        empty_list="CAST([] AS VARCHAR[])",
        list_of="[{0}]",
        contains="CASE WHEN {1} IS NOT NULL THEN list_contains({0}, {1}) END",
        overlaps="CASE WHEN {1} IS NOT NULL THEN list_has_any({0}, {1}) END",
        first_due="list_slice({0}, 1, len(list_filter({1}, lambda due: due <= {2})))",
        earliest_of="list_min(list_filter({1}, lambda due, place: list_contains({0}, {2}[place])))",
        covers='(len(list_filter({0}, lambda span: span."from" <= {1} AND {1} < span.until)) > 0)',
        week="CAST(date_trunc('week', {0} AT TIME ZONE 'UTC') AS DATE)",
    ),
    DialectName.SPARK: Dialect(
        name=DialectName.SPARK,
        text="STRING",
        quote="`",
        instant="TIMESTAMP '{0}'",
        empty_list="CAST(array() AS ARRAY<STRING>)",
        list_of="array({0})",
        contains="CASE WHEN {1} IS NOT NULL THEN array_contains({0}, {1}) END",
        overlaps="CASE WHEN {1} IS NOT NULL THEN arrays_overlap({0}, {1}) END",
        first_due="CASE WHEN {0} IS NOT NULL THEN slice({0}, 1, size(filter({1}, due -> due <= {2}))) END",
        earliest_of="array_min(filter({1}, (due, place) -> array_contains({0}, element_at({2}, place + 1))))",
        covers="CASE WHEN {0} IS NOT NULL THEN exists({0}, span -> span.`from` <= {1} AND {1} < span.until) END",
        week=(
            "trunc(date_from_unix_date(CAST((unix_micros({0}) - pmod(unix_micros({0}), 86400000000)) div 86400000000"
            " AS INT)), 'WEEK')"
        ),
    ),
}
