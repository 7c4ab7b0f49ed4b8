"""Coverage: the number of all items, of permitted items, and of items that each condition excludes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.coverage.publication import CountRow, share_margin
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
from schema.enums import described_enum
from schema.errors import BadInput
from schema.governed import EXAMINERS, OPEN, governed
from schema.oversight.coverage_filter import CoverageFilter, read_filter
from schema.oversight.coverage_protection import PROTECTION, CoverageProtection
from schema.oversight.published_coverage import NO_VALUE, answer_from_published, raise_if_purpose_unknown

MAX_ROWS = 8_000
MAX_ROWS_WITH_EXCLUSIONS = 500
MARGIN = (
    "The margin of error of the counts, 0 if the counts are exact; with the probability "
    "`protection.confidence`, the error of a count is at most this margin."
)


@described_enum(
    "A dimension by which items are counted.",
    KIND="The kind of the item.",
    PRODUCT="The product to which the author's account belongs, such as an app or a site of the platform.",
    COUNTRY="The author's country.",
    LANGUAGE="The language of the item without its dialect, in lower case.",
    MONTH="The month in which the item was created.",
    GROUND="The ground whose conditions apply to the item.",
    CONDITION="The condition that excludes the item; an item counts once for each condition that excludes it.",
)
class CoverageDimension(StrEnum):
    KIND = "KIND"
    PRODUCT = "PRODUCT"
    COUNTRY = "COUNTRY"
    LANGUAGE = "LANGUAGE"
    MONTH = "MONTH"
    GROUND = "GROUND"
    CONDITION = "CONDITION"


@strawberry.type(description="A value that all items of a row share.")
class CoverageValue:
    dimension: CoverageDimension = governed(OPEN, description="The dimension of the value.")
    value: str = governed(
        OPEN,
        description=(
            "The value; a month is given as YYYY-MM, a missing value as `unknown`, and a rare value in published "
            "counts as `other`."
        ),
    )


@strawberry.type(
    description=(
        "The numbers of items that a condition excludes, if the item's ground requires the condition; a suppressed "
        "number is null."
    )
)
class Exclusion:
    condition: str = governed(OPEN, description="The code of the condition.")
    total: int | None = governed(OPEN, description="The number of items that fail the condition.")
    exclusive: int | None = governed(OPEN, description="The number of items that fail this condition and no other.")
    margin: int = governed(OPEN, description=MARGIN)


@strawberry.type(description="A step of the funnel from all items to the permitted ones.")
class CoverageStep:
    condition: str = governed(OPEN, description="The code of the condition.")
    remaining: int | None = governed(
        OPEN,
        description="The number of items that pass this condition and all conditions before it, null if suppressed.",
    )
    margin: int = governed(OPEN, description=MARGIN)


@strawberry.type(description="The counts of the items in one dialect of a language, such as `de-at`.")
class CoverageDialect:
    language: str = governed(EXAMINERS, description="The full language tag in lower case, such as `de-at`.")
    items: int = governed(EXAMINERS, description="The number of items.")
    permitted: int = governed(EXAMINERS, description="The number of permitted items.")


def _resolve_dialects(root: "CoverageRow") -> list[CoverageDialect]:
    """Resolve `CoverageRow.dialects`: the language tags of a coverage row with their counts."""
    return root.spoken


def _resolve_exclusions(root: "CoverageRow") -> list[Exclusion]:
    """Resolve `CoverageRow.exclusions`: how many items each condition excludes from a coverage row."""
    if root.beside > MAX_ROWS_WITH_EXCLUSIONS and root.counted.failing:
        raise BadInput(
            f"exclusions: can be returned for at most {MAX_ROWS_WITH_EXCLUSIONS} rows, not {root.beside:,}"
            " (use a filter, or fewer dimensions in groupBy)"
        )
    counted = zip(root.conditions, root.counted.failing, root.counted.alone, strict=False)
    margin = root.counted.exclusion_margin
    return [
        Exclusion(condition=code, total=failing, exclusive=alone, margin=margin) for code, failing, alone in counted
    ]


@strawberry.type(description="The counts of the items that share the values in `key`; a suppressed count is null.")
class CoverageRow:
    conditions: strawberry.Private[Sequence[str]]
    counted: strawberry.Private[CountRow]
    beside: strawberry.Private[int]
    spoken: strawberry.Private[list[CoverageDialect]]
    key: list[CoverageValue] = governed(OPEN, description="The values that the items share, in the order of `groupBy`.")
    items: int | None = governed(OPEN, description="The number of items.")
    permitted: int | None = governed(OPEN, description="The number of permitted items.")
    delivered: int | None = governed(OPEN, description="The number of items that at least one client received.")
    retracted: int | None = governed(
        OPEN, description="The number of items that at least one client was instructed to delete."
    )
    margin: int = governed(OPEN, description=MARGIN)
    suppressed: bool = governed(
        OPEN,
        description="Whether the number of items is suppressed, because it is too small or the table is not published.",
    )
    permitted_share: float | None = governed(
        OPEN,
        description="The number of permitted items divided by the number of items, null if either is suppressed.",
    )
    permitted_share_margin: float | None = governed(
        OPEN,
        description=(
            "The margin of error of the permitted share, null if it is suppressed; if the shares of two rows differ by"
            " less than their margins, the order of the rows can be wrong."
        ),
    )
    representation_ratio: float | None = governed(
        OPEN,
        description=(
            "The permitted share of the row divided by the permitted share of the total, null if it cannot be computed."
        ),
    )
    dialects: list[CoverageDialect] = governed(
        EXAMINERS,
        resolver=_resolve_dialects,
        description="The counts by dialect if `groupBy` contains only LANGUAGE and there is no filter, else empty.",
    )
    exclusions: list[Exclusion] = governed(
        OPEN,
        resolver=_resolve_exclusions,
        description=(
            "The number of items that each condition excludes, in the order of CONDITIONS.md; published counts "
            "contain these numbers only for all items together."
        ),
    )


@strawberry.type(
    description=(
        "The counts of one snapshot; officers and auditors get exact counts, and all other roles get counts with "
        "noise, once a month."
    )
)
class Coverage:
    day: date = governed(OPEN, description="The day of the snapshot in UTC.")
    taken_at: datetime = governed(OPEN, description="The time of the snapshot.")
    policy_version: str = governed(OPEN, description="The version of the policy that was used for the decisions.")
    purpose: str = governed(OPEN, description="The purpose for which the gateway decided which items are permitted.")
    purposes: list[str] = governed(OPEN, description="The purposes of the policy; each purpose has separate counts.")
    exact: bool = governed(
        OPEN, description="Whether the counts are exact; only officers and auditors get exact counts."
    )
    protection: CoverageProtection = governed(
        OPEN, description="The privacy protection that applies to counts that are not exact."
    )
    rows: list[CoverageRow] = governed(
        OPEN, description="One row for each combination of values that at least one item has; empty without `groupBy`."
    )
    total: CoverageRow = governed(OPEN, description="The counts of all items that match the filter.")
    funnel: list[CoverageStep] = governed(
        OPEN,
        description=(
            "The steps from all counted items to the permitted items; empty for published counts with a filter."
        ),
    )


GroupBy = Annotated[
    list[CoverageDimension],
    strawberry.argument(
        description=(
            "The dimensions by which to count; for published counts, `groupBy` and the filter together can have "
            "at most two dimensions."
        )
    ),
]
Day = Annotated[
    date | None,
    strawberry.argument(
        description="The day of the snapshot in UTC, by default the newest; published counts are those of the last"
        " publication on or before that day."
    ),
]

ForPurpose = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "The purpose for which permitted items are counted, by default the client's own purpose for training "
            "clients, and the first purpose of the policy for other roles."
        )
    ),
]


async def coverage(
    info: Info,
    group_by: GroupBy = [],  # noqa: B006 - as the SDL says; it is never changed
    filter: Annotated[
        CoverageFilter | None, strawberry.argument(description="The items to count, by default all.")
    ] = None,
    day: Day = None,
    purpose: ForPurpose = None,
) -> Coverage | None:
    """Resolve `coverage` from a snapshot, None while there is none: exact for officers, else published."""
    by = list(dict.fromkeys(group_by))
    filters = await read_filter(info.context, filter)
    dimensions = [Dimension(each) for each in by if each is not CoverageDimension.CONDITION]
    read = _exact_coverage if (exact := info.context.actor.role in EXAMINERS) else answer_from_published
    asked = (dimensions, filters, day, purpose or info.context.actor.purpose)
    found = await read(info.context, *asked, conditions=len(dimensions) < len(by))
    if found is None:
        return None
    snapshot, total, rows = found
    if len(rows) > MAX_ROWS:
        raise BadInput(f"groupBy: gives {len(rows):,} rows, more than {MAX_ROWS:,} (use a filter, or fewer dimensions)")
    by_language = exact and not filters and by == [CoverageDimension.LANGUAGE]
    spoken = _by_language(await exact_dialects(info.context.reader, snapshot)) if by_language else NO_DIALECTS
    shown = _RowRenderer(snapshot.conditions, total, spoken)
    return Coverage(
        day=snapshot.day,
        taken_at=snapshot.taken_at,
        policy_version=snapshot.policy,
        purpose=snapshot.purpose,
        purposes=snapshot.purposes,
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
    context: Context,
    by: Sequence[Dimension],
    filters: Filters,
    day: date | None,
    purpose: str | None,
    *,
    conditions: bool,
) -> tuple[CoverageSnapshot, CountRow, list[CountRow]] | None:
    """Resolve `coverage` for officers and auditors, with exact counts."""
    snapshot = await exact_snapshot(context.reader, day, purpose)
    if snapshot is None:
        return None
    raise_if_purpose_unknown(snapshot)
    totals = await exact_rows(context.reader, snapshot, [], filters)
    rows = await exact_rows(context.reader, snapshot, by, filters) if by or conditions else []
    if totals is None or rows is None:
        raise BadInput(
            f"day: counts by more than two dimensions are kept for only {FULL_DETAIL_DAYS} days (use fewer"
            " dimensions, or a later day)"
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
        """Show coverage rows by their keys as GraphQL objects; by CONDITION, a row is what a condition excludes."""
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
        """Show one coverage row as a GraphQL object. `beside` is how many rows there are."""
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
            permitted_share_margin=share_margin(row),
            representation_ratio=share / self._share if share is not None and self._share else None,
        )


def _by_language(rows: Iterable[CountRow]) -> dict[str, list[CoverageDialect]]:
    """Group the language tags of coverage rows under their languages."""
    spoken: dict[str, list[CoverageDialect]] = {}
    for row in rows:
        dialect = CoverageDialect(language=row.key[0], items=row.items or 0, permitted=row.permitted or 0)
        spoken.setdefault(row.key[0].partition("-")[0], []).append(dialect)
    return spoken


def _row_key(by: Sequence[CoverageDimension], values: Mapping[str, str]) -> list[CoverageValue]:
    """Show the key of a coverage row: its value of each dimension."""
    return [CoverageValue(dimension=dimension, value=values[dimension]) for dimension in by]


def _permitted_share(permitted: int | None, items: int | None) -> float | None:
    """Divide a coverage row's published numbers: what is computed from them reveals no more than they do."""
    return permitted / items if permitted is not None and items else None
