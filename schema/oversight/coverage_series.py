"""Coverage day by day, for charts of other programs."""

from datetime import date, timedelta
from typing import Annotated, Final

import strawberry

from db.coverage.series import DayCounts, exact_series, published_series
from schema.context import Info
from schema.errors import BadInput
from schema.governed import EXAMINERS, OPEN, governed
from schema.oversight.coverage import MARGIN, ForPurpose

MAX_DAYS: Final = 400


@strawberry.type(description="The counts of all items on one day; a suppressed count is null.")
class CoverageDay:
    day: date = governed(OPEN, description="The day of the counts in UTC.")
    policy_version: str = governed(OPEN, description="The version of the policy that was used for the decisions.")
    items: int | None = governed(OPEN, description="The number of items.")
    permitted: int | None = governed(OPEN, description="The number of permitted items.")
    delivered: int | None = governed(OPEN, description="The number of items that at least one client received.")
    retracted: int | None = governed(
        OPEN, description="The number of items that at least one client was instructed to delete."
    )
    margin: int = governed(OPEN, description=MARGIN)


async def resolve_coverage_series(
    info: Info,
    first_day: Annotated[date, strawberry.argument(description="The first day of the series, in UTC.")],
    last_day: Annotated[
        date, strawberry.argument(description=f"The last day of the series, at most {MAX_DAYS} days after the first.")
    ],
    purpose: ForPurpose = None,
) -> list[CoverageDay]:
    """Resolve `coverageSeries`: each day with a snapshot for officers and auditors, each publication for others."""
    if not first_day <= last_day <= first_day + timedelta(days=MAX_DAYS):
        raise BadInput(f"lastDay: must be 0 to {MAX_DAYS} days after firstDay (request a shorter series)")
    context = info.context
    asked = (first_day, last_day, purpose or context.actor.purpose)
    if context.actor.role in EXAMINERS:
        days = await exact_series(context.reader, *asked)
    else:
        days = await published_series(context.database.dashboard, *asked)
    return [_day_of(each) for each in days]


def _day_of(row: DayCounts) -> CoverageDay:
    """Show the counts of a day of `coverageSeries` as a GraphQL object."""
    counts = row.counts
    return CoverageDay(
        day=row.day,
        policy_version=row.policy,
        items=counts.items,
        permitted=counts.permitted,
        delivered=counts.delivered,
        retracted=counts.retracted,
        margin=counts.margin,
    )
