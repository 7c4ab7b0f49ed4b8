"""Coverage: how many items there are, how many are permitted, and what excludes the others, by dimension."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.coverage.noise import (
    CONFIDENCE,
    MAX_ITEMS_IN_TABLES,
    MAX_ITEMS_IN_TOTAL,
    PRIVACY_LOSS,
    PUBLICATIONS_IN_30_DAYS,
    greatest_advantage,
)
from db.coverage.publication import CountRow
from db.coverage.snapshot import (
    FULL_DETAIL_DAYS,
    CoverageSnapshot,
    Dimension,
    Filters,
    exact_dialects,
    exact_rows,
    exact_snapshot,
)
from schema.context import Context, Info
from schema.enums import ContentKind, GroundCode, described_enum
from schema.errors import BadInput
from schema.governed import EXAMINERS, STAFF, governed
from schema.oversight.published_coverage import NO_VALUE, answer_from_published

MAX_ROWS = 8_000
MAX_ROWS_WITH_EXCLUSIONS = 500
MARGIN = "How far each of these counts can be off, with the probability of `protection.confidence`; 0 where exact."


@described_enum(
    "A dimension by which items are counted.",
    KIND="The kind of the item.",
    PRODUCT="The product of the account.",
    COUNTRY="The author's country.",
    LANGUAGE="The language of the item without its dialect, in lower case.",
    MONTH="The month in which the item was created.",
    GROUND="The ground against which the item is judged.",
    CONDITION="The condition that excludes the item, which counts once for each such condition.",
)
class CoverageDimension(StrEnum):
    KIND = "KIND"
    PRODUCT = "PRODUCT"
    COUNTRY = "COUNTRY"
    LANGUAGE = "LANGUAGE"
    MONTH = "MONTH"
    GROUND = "GROUND"
    CONDITION = "CONDITION"


@strawberry.input(description="A filter of the items that coverage counts, in which `unknown` names a missing value.")
class CoverageFilter:
    kinds: list[ContentKind] | None = strawberry.field(default=None, description="Count items of these kinds.")
    products: list[str] | None = strawberry.field(default=None, description="Count items of these products.")
    countries: list[str] | None = strawberry.field(
        default=None, description="Count items of authors in these countries."
    )
    languages: list[str] | None = strawberry.field(
        default=None, description="Count items of these languages, dialects included."
    )
    months: list[str] | None = strawberry.field(
        default=None, description="Count items created in these months, as YYYY-MM."
    )
    grounds: list[GroundCode] | None = strawberry.field(
        default=None, description="Count items judged on these grounds."
    )


@strawberry.type(description="A value that the items of a row have in common.")
class CoverageValue:
    dimension: CoverageDimension = governed(STAFF, description="The dimension of the value.")
    value: str = governed(
        STAFF, description="The value: a month as YYYY-MM, `unknown`, or for dashboards `other` for rare values."
    )


@strawberry.type(description="The number of items that a condition excludes, among those whose ground requires it.")
class Exclusion:
    condition: str = governed(STAFF, description="The code of the condition.")
    total: int | None = governed(STAFF, description="The number of items that fail the condition.")
    exclusive: int | None = governed(STAFF, description="The number of items that fail this condition only.")
    margin: int = governed(STAFF, description=MARGIN)


@strawberry.type(description="A step of the funnel from all items to the permitted ones.")
class CoverageStep:
    condition: str = governed(STAFF, description="The code of the condition.")
    remaining: int | None = governed(
        STAFF, description="The number of items that pass this condition and all conditions before it."
    )
    margin: int = governed(STAFF, description=MARGIN)


@strawberry.type(description="The counts of the items in one dialect of a language.")
class CoverageDialect:
    language: str = governed(EXAMINERS, description="The whole language tag in lower case.")
    items: int = governed(EXAMINERS, description="The number of items.")
    permitted: int = governed(EXAMINERS, description="The number of permitted items.")


def _dialects(root: "CoverageRow") -> list[CoverageDialect]:
    return root.spoken


def _exclusions(root: "CoverageRow") -> list[Exclusion]:
    if root.beside > MAX_ROWS_WITH_EXCLUSIONS and root.counted.failing:
        raise BadInput(
            f"exclusions: cannot be given for {root.beside:,} rows"
            f" (filter, or group by fewer dimensions: at most {MAX_ROWS_WITH_EXCLUSIONS} rows can have it)"
        )
    counted = zip(root.conditions, root.counted.failing, root.counted.alone, strict=False)
    margin = root.counted.exclusion_margin
    return [
        Exclusion(condition=code, total=failing, exclusive=alone, margin=margin) for code, failing, alone in counted
    ]


@strawberry.type(description="The counts of the items that have some values in common, null where suppressed.")
class CoverageRow:
    conditions: strawberry.Private[Sequence[str]]
    counted: strawberry.Private[CountRow]
    beside: strawberry.Private[int]
    spoken: strawberry.Private[list[CoverageDialect]]
    key: list[CoverageValue] = governed(STAFF, description="The values in common, in the order of `groupBy`.")
    items: int | None = governed(STAFF, description="The number of items.")
    permitted: int | None = governed(STAFF, description="The number of permitted items.")
    delivered: int | None = governed(STAFF, description="The number of items that at least one client received.")
    retracted: int | None = governed(
        STAFF, description="The number of items that at least one client was told to delete."
    )
    margin: int = governed(STAFF, description=MARGIN)
    suppressed: bool = governed(STAFF, description="Whether the number of items is suppressed.")
    permitted_share: float | None = governed(STAFF, description="The permitted items divided by all items of the row.")
    representation_ratio: float | None = governed(
        STAFF,
        description="The permitted share of the row divided by that of the total.",
    )
    dialects: list[CoverageDialect] = governed(
        EXAMINERS,
        resolver=_dialects,
        description="The dialects of the language, where the rows are languages and nothing is filtered.",
    )
    exclusions: list[Exclusion] = governed(
        STAFF,
        resolver=_exclusions,
        description="The exclusions in the order of the catalogue, for dashboards over all items only.",
    )


@strawberry.type(description="The protection of published counts, with the person as its unit.")
class CoverageProtection:
    max_items_in_total: int = governed(
        STAFF, description="The number of items for which a person counts at most in the counts of all items."
    )
    max_items_in_tables: int = governed(
        STAFF, description="The number of items for which a person counts at most in tables, which are then scaled."
    )
    confidence: float = governed(STAFF, description="The probability that a count is off by its margin at most.")
    privacy_loss: float = governed(
        STAFF, description="The privacy loss of one publication, as the mu of Gaussian differential privacy."
    )
    greatest_advantage: float = governed(
        STAFF,
        description="The greatest advantage over guessing in 30 days whether a person is there or has changed.",
    )


PROTECTION = CoverageProtection(
    max_items_in_total=MAX_ITEMS_IN_TOTAL,
    max_items_in_tables=MAX_ITEMS_IN_TABLES,
    confidence=CONFIDENCE,
    privacy_loss=PRIVACY_LOSS,
    greatest_advantage=round(greatest_advantage(PUBLICATIONS_IN_30_DAYS), 4),
)


@strawberry.type(description="The counts of one snapshot, for dashboards one per month, with noise and suppressed.")
class Coverage:
    day: date = governed(STAFF, description="The day of the snapshot in UTC.")
    taken_at: datetime = governed(STAFF, description="The time of the snapshot.")
    policy_version: str = governed(STAFF, description="The version of the policy that decided.")
    exact: bool = governed(STAFF, description="Whether the counts are exact, as for officers and auditors.")
    protection: CoverageProtection = governed(STAFF, description="The protection of counts that are not exact.")
    rows: list[CoverageRow] = governed(STAFF, description="The rows that have items, none without `groupBy`.")
    total: CoverageRow = governed(STAFF, description="The counts of all items that match the filter.")
    funnel: list[CoverageStep] = governed(
        STAFF, description="The funnel of the total, for dashboards over all items only."
    )


GroupBy = Annotated[
    list[CoverageDimension],
    strawberry.argument(description="The dimensions, for dashboards at most two including those of the filter."),
]
Day = Annotated[
    date | None,
    strawberry.argument(
        description="The day of the snapshot in UTC, for dashboards that of the publication or a later one,"
        " by default the newest."
    ),
]


async def coverage(
    info: Info,
    group_by: GroupBy = [],  # noqa: B006 - as the SDL says; it is never changed
    filter: Annotated[
        CoverageFilter | None, strawberry.argument(description="The items to count, by default all.")
    ] = None,
    day: Day = None,
) -> Coverage | None:
    """Answer from a snapshot, or None while there is none."""
    by = list(dict.fromkeys(group_by))
    filters = _check_filters(filter)
    dimensions = [Dimension(each) for each in by if each is not CoverageDimension.CONDITION]
    exact = info.context.actor.role in EXAMINERS
    read = _exact_coverage if exact else answer_from_published
    found = await read(info.context, dimensions, filters, day, conditions=len(dimensions) < len(by))
    if found is None:
        return None
    snapshot, total, rows = found
    if len(rows) > MAX_ROWS:
        raise BadInput(f"groupBy: gives {len(rows):,} rows (filter, or group by less: {MAX_ROWS:,} are answered)")
    by_language = exact and not filters and by == [CoverageDimension.LANGUAGE]
    spoken = _by_language(await exact_dialects(info.context.reader, snapshot)) if by_language else NO_DIALECTS
    shown = _RowRenderer(snapshot.conditions, total, spoken)
    return Coverage(
        day=snapshot.day,
        taken_at=snapshot.taken_at,
        policy_version=snapshot.policy,
        exact=exact,
        protection=PROTECTION,
        total=shown.row((), total, beside=1),
        rows=list(shown.rows(by, dimensions, rows)),
        funnel=[
            CoverageStep(condition=code, remaining=left, margin=total.step_margin)
            for code, left in zip(snapshot.conditions, total.left, strict=False)
        ],
    )


async def _exact_coverage(
    context: Context, by: Sequence[Dimension], filters: Filters, day: date | None, *, conditions: bool
) -> tuple[CoverageSnapshot, CountRow, list[CountRow]] | None:
    """Count for officers and auditors."""
    snapshot = await exact_snapshot(context.reader, day)
    if snapshot is None:
        return None
    totals = await exact_rows(context.reader, snapshot, [], filters)
    rows = await exact_rows(context.reader, snapshot, by, filters) if by or conditions else []
    if totals is None or rows is None:
        raise BadInput(
            f"day: more than two dimensions are kept for {FULL_DETAIL_DAYS} days (ask for less, or a later day)"
        )
    return snapshot, totals[0], rows


NO_DIALECTS: Mapping[str, list[CoverageDialect]] = {}


class _RowRenderer:
    """Rows beside their total, and languages with their dialects."""

    def __init__(
        self, conditions: Sequence[str], total: CountRow, spoken: Mapping[str, list[CoverageDialect]] = NO_DIALECTS
    ) -> None:
        self._conditions = conditions
        self._spoken = spoken
        self._share = _permitted_share(total.permitted, total.items)

    def rows(
        self, by: Sequence[CoverageDimension], dimensions: Sequence[Dimension], rows: list[CountRow]
    ) -> Iterable[CoverageRow]:
        """Show rows by their keys; by CONDITION, a row is what a condition keeps out."""
        if CoverageDimension.CONDITION not in by:
            for row in rows:
                yield self.row(_row_key(by, dict(zip(dimensions, row.key, strict=True))), row, beside=len(rows))
            return
        for row in rows:
            values: dict[str, str] = dict(zip(dimensions, row.key, strict=True))
            for place, code in enumerate(self._conditions):
                items = row.failing[place]
                if items != 0:
                    kept_out = CountRow(
                        (),
                        items,
                        None if items is None else 0,
                        failing=(items,),
                        alone=(row.alone[place],),
                        margin=row.exclusion_margin,
                        exclusion_margin=row.exclusion_margin,
                    )
                    key = _row_key(by, {**values, CoverageDimension.CONDITION: code})
                    yield _RowRenderer([code], NO_VALUE).row(key, kept_out, beside=1)

    def row(self, key: Sequence[CoverageValue], row: CountRow, *, beside: int) -> CoverageRow:
        """Show a row. `beside` is how many rows there are."""
        share = _permitted_share(row.permitted, row.items)
        return CoverageRow(
            conditions=self._conditions,
            counted=row,
            beside=beside,
            spoken=self._spoken.get(str(key[0].value), []) if len(key) == 1 else [],
            key=[*key],
            items=row.items,
            permitted=row.permitted,
            delivered=row.delivered,
            retracted=row.retracted,
            margin=row.margin,
            suppressed=row.items is None,
            permitted_share=share,
            representation_ratio=share / self._share if share is not None and self._share else None,
        )


def _by_language(rows: Iterable[CountRow]) -> dict[str, list[CoverageDialect]]:
    """Put each whole tag under its language."""
    spoken: dict[str, list[CoverageDialect]] = {}
    for row in rows:
        dialect = CoverageDialect(language=row.key[0], items=row.items or 0, permitted=row.permitted or 0)
        spoken.setdefault(row.key[0].partition("-")[0], []).append(dialect)
    return spoken


def _row_key(by: Sequence[CoverageDimension], values: Mapping[str, str]) -> list[CoverageValue]:
    return [CoverageValue(dimension=dimension, value=values[dimension]) for dimension in by]


def _permitted_share(permitted: int | None, items: int | None) -> float | None:
    """Divide published numbers: what is computed of them tells no more than they do."""
    return permitted / items if permitted is not None and items else None


def _check_filters(filter: CoverageFilter | None) -> dict[Dimension, list[str]]:
    if filter is None:
        return {}
    given = {
        Dimension.KIND: filter.kinds,
        Dimension.PRODUCT: filter.products,
        Dimension.COUNTRY: filter.countries,
        Dimension.LANGUAGE: None if filter.languages is None else [language.lower() for language in filter.languages],
        Dimension.MONTH: filter.months,
        Dimension.GROUND: filter.grounds,
    }
    if any("-" in language for language in filter.languages or ()):
        raise BadInput("filter.languages: are counted without dialects (write de, not de-AT)")
    for month in filter.months or ():
        if not re.fullmatch(r"\d{4}-\d{2}", month):
            raise BadInput("filter.months: has a value that is no month (write YYYY-MM)")
    return {dimension: [str(value) for value in values] for dimension, values in given.items() if values is not None}
