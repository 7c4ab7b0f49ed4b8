"""Coverage: what there is, what is permitted, and what keeps the rest out, by what items have in common."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from itertools import product
from typing import Annotated

import strawberry

from db.coverage import (
    KEPT_IN_FULL,
    Dimension,
    Filters,
    Row,
    Snapshot,
    exact_rows,
    exact_snapshot,
    published_coverage,
)
from db.protection import PUBLISHED
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, STAFF, governed
from schema.values import ContentKind, GroundCode

MOST_ROWS = 8_000
MOST_ROWS_WITH_EXCLUSIONS = 500
NOTHING = Row((), None, None)

Info = strawberry.Info[Context, None]


@strawberry.enum(description="What items are counted by. An item counts in each CONDITION that keeps it out.")
class CoverageDimension(StrEnum):
    """Name a dimension."""

    KIND = "KIND"
    PRODUCT = "PRODUCT"
    COUNTRY = "COUNTRY"
    LANGUAGE = "LANGUAGE"
    MONTH = "MONTH"
    GROUND = "GROUND"
    CONDITION = "CONDITION"


@strawberry.input(description="Count items with one of these values only. What is unknown is called `unknown`.")
class CoverageFilter:
    """Narrow what is counted."""

    kinds: list[ContentKind] | None = None
    products: list[str] | None = None
    countries: list[str] | None = None
    languages: list[str] | None = None
    months: list[str] | None = strawberry.field(default=None, description="YYYY-MM.")
    grounds: list[GroundCode] | None = None


@strawberry.type(description="What the items of a row have in common.")
class CoverageValue:
    """Hold a value of a dimension."""

    dimension: CoverageDimension = governed(STAFF)
    value: str = governed(
        STAFF, description="A month as YYYY-MM; `unknown`; for dashboards `other`, which is all that is rare."
    )


@strawberry.type(description="How many items a condition keeps out, of those whose ground needs it.")
class Exclusion:
    """Count what a condition keeps out."""

    condition: str = governed(STAFF)
    any: int | None = governed(STAFF, description="Items that fail it, whatever else they fail.")
    alone: int | None = governed(STAFF, description="Items that fail nothing else.")


@strawberry.type(description="A step on the way from all items to those permitted.")
class CoverageStep:
    """Count what is left."""

    condition: str = governed(STAFF)
    left: int | None = governed(STAFF, description="Items that pass it and all before it, in the catalogue's order.")


def _excluded(root: "CoverageRow") -> list[Exclusion]:
    if root.beside > MOST_ROWS_WITH_EXCLUSIONS and root.counted.failing:
        raise BadInput(
            f"excluded: is too much of {root.beside:,} rows (filter, or group by less: {MOST_ROWS_WITH_EXCLUSIONS} rows"
            " may have it)"
        )
    counted = zip(root.conditions, root.counted.failing, root.counted.alone, strict=False)
    return [Exclusion(condition=code, any=failing, alone=alone) for code, failing, alone in counted]


@strawberry.type(description="Items that have some values in common, counted. Null is suppressed.")
class CoverageRow:
    """Hold counts."""

    conditions: strawberry.Private[Sequence[str]]
    counted: strawberry.Private[Row]
    beside: strawberry.Private[int]
    key: list[CoverageValue] = governed(STAFF, description="In the order of groupBy.")
    items: int | None = governed(STAFF)
    permitted: int | None = governed(STAFF)
    delivered: int | None = governed(STAFF, description="Items that some client received.")
    retracted: int | None = governed(STAFF, description="Items that some client was told to delete.")
    permitted_share: float | None = governed(STAFF, description="Permitted items by items.")
    skew: float | None = governed(
        STAFF,
        description="The permitted share by that of the total: above 1 there is more of it among what is permitted than"
        " among all items.",
    )
    excluded: list[Exclusion] = governed(
        STAFF, resolver=_excluded, description="In the catalogue's order; for dashboards of all items only."
    )


@strawberry.type(
    description="A day's counts, from one snapshot: the same question has the same answer. For dashboards they are"
    " rounded to 5 and small ones suppressed, with as many others as it takes that nothing can be subtracted."
)
class Coverage:
    """Hold an answer."""

    day: date = governed(STAFF, description="Of UTC.")
    taken_at: datetime = governed(STAFF)
    policy_version: str = governed(STAFF)
    exact: bool = governed(STAFF, description="Not rounded, and nothing suppressed: for officers and auditors.")
    rows: list[CoverageRow] = governed(STAFF, description="Where there are items; none without groupBy.")
    total: CoverageRow = governed(STAFF, description="All items that the filter names.")
    way: list[CoverageStep] = governed(STAFF, description="Of the total; for dashboards of all items only.")


GroupBy = Annotated[
    list[CoverageDimension],
    strawberry.argument(description="Any; for dashboards at most two, those of the filter included."),
]
Day = Annotated[date | None, strawberry.argument(description="Of UTC; the newest snapshot, where it is left out.")]


async def coverage(
    info: Info,
    group_by: GroupBy = [],  # noqa: B006 - as the SDL says; nobody changes it
    filter: CoverageFilter | None = None,
    day: Day = None,
) -> Coverage | None:
    """Answer from a snapshot, or None while there is none."""
    by = list(dict.fromkeys(group_by))
    filters = _filters(filter)
    dimensions = [Dimension(each) for each in by if each is not CoverageDimension.CONDITION]
    exact = info.context.actor.role in EXAMINERS
    read = _exact if exact else _published
    found = await read(info.context, dimensions, filters, day, conditions=len(dimensions) < len(by))
    if found is None:
        return None
    snapshot, total, rows = found
    if len(rows) > MOST_ROWS:
        raise BadInput(f"groupBy: gives {len(rows):,} rows (filter, or group by less: {MOST_ROWS:,} are answered)")
    shown = _Shown(snapshot.conditions, total)
    return Coverage(
        day=snapshot.day,
        taken_at=snapshot.taken_at,
        policy_version=snapshot.policy,
        exact=exact,
        total=shown.row((), total, beside=1),
        rows=list(shown.rows(by, dimensions, rows)),
        way=[
            CoverageStep(condition=code, left=left) for code, left in zip(snapshot.conditions, total.left, strict=False)
        ],
    )


async def _exact(
    context: Context, by: Sequence[Dimension], filters: Filters, day: date | None, *, conditions: bool
) -> tuple[Snapshot, Row, list[Row]] | None:
    """Count for officers and auditors."""
    snapshot = await exact_snapshot(context.reader, day)
    if snapshot is None:
        return None
    totals = await exact_rows(context.reader, snapshot, [], filters)
    rows = await exact_rows(context.reader, snapshot, by, filters) if by or conditions else []
    if totals is None or rows is None:
        raise BadInput(f"day: more than two dimensions are kept for {KEPT_IN_FULL} days (ask for less, or a later day)")
    return snapshot, totals[0], rows


async def _published(
    context: Context, by: Sequence[Dimension], filters: Filters, day: date | None, *, conditions: bool
) -> tuple[Snapshot, Row, list[Row]] | None:
    """Read for dashboards: slices of the tables that were protected when the snapshot was taken, and nothing else.

    Many tables together tell what each one hides, so that not all are published: of one that is not, every cell is
    suppressed, those without items too. So is what conditions keep out of anything but all items.
    """
    asked = list(dict.fromkeys((*by, *filters)))
    if len(asked) + conditions > 2:
        raise BadInput("groupBy: takes at most two dimensions, those of the filter included (leave some out)")
    table = None if conditions and asked else _table_of(asked)
    of_filters = _table_of(filters)
    read = await published_coverage(context.database.dashboard, day, ["", table or "", of_filters or "", *asked])
    if read is None:
        return None
    snapshot, (everything, wanted, filtered, *singles) = read
    values = {dimension: [row.key[0] for row in rows] for dimension, rows in zip(asked, singles, strict=True)}
    if not all({*chosen} <= {*values[dimension]} for dimension, chosen in filters.items()):
        return snapshot, NOTHING, []  # rare or never seen: who asks cannot tell
    total = everything[0]
    if filters:
        summed = [NOTHING] if of_filters is None else _slice(filtered, of_filters, [], filters)
        total = summed[0] if summed else NOTHING._replace(items=0, permitted=0)
    if not by and not conditions:
        return snapshot, total, []
    if table is None:
        nothing = (None,) * len(snapshot.conditions)
        keys = product(*(filters.get(dimension, values[dimension]) for dimension in by))
        return snapshot, total, [NOTHING._replace(key=key, failing=nothing, alone=nothing) for key in keys]
    return snapshot, total, _slice(wanted, table, by, filters) if asked else wanted


def _table_of(asked: Iterable[Dimension]) -> str | None:
    """Name the published table of some dimensions; None when there is none."""
    names = {str(each) for each in asked}
    if len(names) < 2:
        return "".join(names)
    return next((",".join(pair) for pair in PUBLISHED if names == set(pair)), None)


def _slice(rows: Sequence[Row], table: str, by: Sequence[Dimension], filters: Filters) -> list[Row]:
    """Add up the rows of a published table that the filter names; what is suppressed in one is so in the sum."""
    place = {name: number for number, name in enumerate(table.split(","))}
    sums: dict[tuple[str, ...], tuple[int | None, int | None]] = {}
    for row in rows:
        if all(row.key[place[dimension]] in values for dimension, values in filters.items()):
            key = tuple(row.key[place[dimension]] for dimension in by)
            items, permitted = sums.get(key, (0, 0))
            sums[key] = _plus(items, row.items), _plus(permitted, row.permitted)
    return [Row(key, *sums[key]) for key in sorted(sums)]


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


class _Shown:
    """Show rows beside their total."""

    def __init__(self, conditions: Sequence[str], total: Row) -> None:
        self._conditions = conditions
        self._share = _share(total.permitted, total.items)

    def rows(
        self, by: Sequence[CoverageDimension], dimensions: Sequence[Dimension], rows: list[Row]
    ) -> Iterable[CoverageRow]:
        """Show rows by their keys; by CONDITION, a row is what a condition keeps out."""
        if CoverageDimension.CONDITION not in by:
            for row in rows:
                yield self.row(_key(by, dict(zip(dimensions, row.key, strict=True))), row, beside=len(rows))
            return
        for row in rows:
            values: dict[str, str] = dict(zip(dimensions, row.key, strict=True))
            for place, code in enumerate(self._conditions):
                items = row.failing[place]
                if items != 0:
                    kept_out = Row((), items, None if items is None else 0, None, None, (items,), (row.alone[place],))
                    key = _key(by, {**values, CoverageDimension.CONDITION: code})
                    yield _Shown([code], NOTHING).row(key, kept_out, beside=1)

    def row(self, key: Iterable[CoverageValue], row: Row, *, beside: int) -> CoverageRow:
        """Show a row. `beside` is how many rows there are."""
        share = _share(row.permitted, row.items)
        return CoverageRow(
            conditions=self._conditions,
            counted=row,
            beside=beside,
            key=list(key),
            items=row.items,
            permitted=row.permitted,
            delivered=row.delivered,
            retracted=row.retracted,
            permitted_share=share,
            skew=share / self._share if share is not None and self._share else None,
        )


def _key(by: Sequence[CoverageDimension], values: Mapping[str, str]) -> list[CoverageValue]:
    return [CoverageValue(dimension=dimension, value=values[dimension]) for dimension in by]


def _share(permitted: int | None, items: int | None) -> float | None:
    """Divide published numbers: what is computed of them tells no more than they do."""
    return permitted / items if permitted is not None and items else None


def _filters(filter: CoverageFilter | None) -> dict[Dimension, list[str]]:
    if filter is None:
        return {}
    given = {
        Dimension.KIND: filter.kinds,
        Dimension.PRODUCT: filter.products,
        Dimension.COUNTRY: filter.countries,
        Dimension.LANGUAGE: filter.languages,
        Dimension.MONTH: filter.months,
        Dimension.GROUND: filter.grounds,
    }
    for month in filter.months or ():
        if not re.fullmatch(r"\d{4}-\d{2}", month):
            raise BadInput("filter.months: has what is no month (write YYYY-MM)")
    return {dimension: [str(value) for value in values] for dimension, values in given.items() if values is not None}
