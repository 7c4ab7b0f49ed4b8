"""The coverage for dashboards and training clients, which comes from the published tables."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import product
from math import ceil, hypot

from db.coverage.publication import PUBLISHED_PAIRS, CountRow
from db.coverage.snapshot import CoverageSnapshot, Dimension, Filters, published_coverage
from schema.context import Context
from schema.errors import BadInput

NO_VALUE = CountRow((), None, None)


async def answer_from_published(
    context: Context,
    by: Sequence[Dimension],
    filters: Filters,
    day: date | None,
    purpose: str | None,
    *,
    conditions: bool,
) -> tuple[CoverageSnapshot, CountRow, list[CountRow]] | None:
    """Resolve `coverage` but for officers and auditors: slices of the tables that were published, and nothing else.

    Every table takes its part of what may be told of a person, so that not all are published: of one that is not, every
    cell is suppressed, those without items too. So is what conditions keep out of anything but all items.
    """
    asked = list(dict.fromkeys((*by, *filters)))
    if len(asked) + conditions > 2:
        raise BadInput("groupBy: groupBy and filter together can have at most two dimensions (use fewer)")
    table = None if conditions and asked else _published_table_name(asked)
    of_filters = _published_table_name(filters)
    wanted_tables = ["", table or "", of_filters or "", *asked]
    read = await published_coverage(context.database.dashboard, day, wanted_tables, purpose)
    if read is None:
        return None
    snapshot, (everything, wanted, filtered, *singles) = read
    raise_if_purpose_unknown(snapshot)
    values = {dimension: [row.key[0] for row in rows] for dimension, rows in zip(asked, singles, strict=True)}
    if not all({*chosen} <= {*values[dimension]} for dimension, chosen in filters.items()):
        return snapshot, NO_VALUE, []  # rare or never seen: who asks cannot tell
    total = everything[0]
    if filters:
        summed = [NO_VALUE] if of_filters is None else _filtered_sums(filtered, of_filters, [], filters)
        total = summed[0] if summed else NO_VALUE._replace(items=0, permitted=0)
    if not by and not conditions:
        return snapshot, total, []
    if table is None:
        nothing = (None,) * len(snapshot.conditions)
        keys = product(*(filters.get(dimension, values[dimension]) for dimension in by))
        return snapshot, total, [NO_VALUE._replace(key=key, failing=nothing, alone=nothing) for key in keys]
    return snapshot, total, _filtered_sums(wanted, table, by, filters) if asked else wanted


def raise_if_purpose_unknown(snapshot: CoverageSnapshot) -> None:
    """Raise BadInput for a purpose of `coverage` that the snapshot's policy does not have."""
    if snapshot.purpose not in snapshot.purposes:
        known = ", ".join(snapshot.purposes)
        raise BadInput(f"purpose: must be a purpose of policy {snapshot.policy} (use one of {known})")


def _published_table_name(asked: Iterable[Dimension]) -> str | None:
    """Name the published coverage table of some dimensions; None when there is none."""
    names = {str(each) for each in asked}
    if len(names) < 2:
        return "".join(names)
    return next((",".join(pair) for pair in PUBLISHED_PAIRS if names == set(pair)), None)


def _filtered_sums(rows: Sequence[CountRow], table: str, by: Sequence[Dimension], filters: Filters) -> list[CountRow]:
    """Add up the published coverage rows that the filter names; a suppressed row suppresses the sum."""
    place = {name: number for number, name in enumerate(table.split(","))}
    sums: dict[tuple[str, ...], CountRow] = {}
    for row in rows:
        if all(row.key[place[dimension]] in values for dimension, values in filters.items()):
            key = tuple(row.key[place[dimension]] for dimension in by)
            sums[key] = _add_rows(sums[key], row) if key in sums else CountRow(key, *row[1:])
    return [sums[key] for key in sorted(sums)]


def _add_rows(one: CountRow, other: CountRow) -> CountRow:
    """Add two published coverage rows; their margins add up as those of independent noise do."""
    if None in (one.items, one.permitted, other.items, other.permitted):
        return CountRow(one.key, None, None)
    items, permitted = (one.items or 0) + (other.items or 0), (one.permitted or 0) + (other.permitted or 0)
    return CountRow(one.key, items, permitted, margin=ceil(hypot(one.margin, other.margin)))
