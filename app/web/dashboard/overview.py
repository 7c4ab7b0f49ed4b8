"""The Overview page: how many items there are, how many qualify, which condition excludes most, what changed."""

from datetime import date, timedelta
from math import ceil, hypot
from typing import Any, Final

from starlette.responses import Response

from app.web.dashboard.charts import FunnelStep, Waterfall, draw_waterfall
from app.web.pages import OperationError, PageRequest, code_as_words
from app.web.tables import Table

_FIGURES: Final = {
    "items": "items",
    "permitted": "qualify",
    "delivered": "delivered to a client",
    "retracted": "retracted from a client",
}


async def show_overview(request: PageRequest) -> Response:
    """Show the Overview page of the dashboard: the newest count beside the one before."""
    data = await request.execute("overview", purpose=request.parameter("purpose"))
    coverage = data["coverage"]
    if coverage is None:
        return request.respond("not_counted_yet.html")
    before = await _count_before(request, coverage)
    total, sentences = coverage["total"], {each["code"]: each["sentence"] for each in data["conditions"]}
    return request.respond(
        "overview.html",
        _funnel_table(coverage, sentences),
        _changes_table(total, before),
        coverage=coverage,
        total=total,
        before=before,
        figures=[(name, label, total[name], _change_row(total, before, name)) for name, label in _FIGURES.items()],
        change_margin=_change_margin(total, before),
        largest=_largest_exclusion(total["exclusions"]),
        sentences=sentences,
        chart=_funnel_chart(coverage),
    )


async def _count_before(request: PageRequest, coverage: dict[str, Any]) -> dict[str, Any] | None:
    """Read the count before for the dashboard's Overview; None if there is none for the same purpose."""
    day_before = date.fromisoformat(coverage["day"]) - timedelta(days=1)
    asked = {"day": day_before.isoformat(), "purpose": coverage["purpose"]}
    try:
        before: dict[str, Any] | None = (await request.execute("overview_before", **asked))["coverage"]
    except OperationError as error:
        if not error.is_input_error:
            raise
        return None
    return before


def _funnel_chart(coverage: dict[str, Any]) -> Waterfall | None:
    """Draw the eligibility funnel of the dashboard's Overview; None if the number of items is withheld."""
    items = coverage["total"]["items"]
    steps = [FunnelStep((code_as_words(each["condition"]),), each["remaining"]) for each in coverage["funnel"]]
    return draw_waterfall(items, steps, "all items", "qualify") if items and steps else None


def _funnel_table(coverage: dict[str, Any], sentences: dict[str, str]) -> Table:
    """Make the table of the eligibility funnel for the dashboard's Overview."""
    rows: list[tuple[str, str, int | None, int | None, int | None]] = []
    before = coverage["total"]["items"]
    for step in coverage["funnel"]:
        excluded = None if before is None or step["remaining"] is None else before - step["remaining"]
        rows.append(
            (step["condition"], sentences.get(step["condition"], ""), excluded, step["remaining"], step["margin"])
        )
        before = step["remaining"]
    columns = ("condition", "requirement", "excluded at this step", "remaining", "off by at most")
    return Table("funnel", "Eligibility funnel, condition by condition", columns, rows)


def _changes_table(total: dict[str, Any], before: dict[str, Any] | None) -> Table:
    """Make the table of what changed since the count before, for the dashboard's Overview."""
    rows = [
        (
            *(label, total[name], before["total"][name] if before else None, _change_row(total, before, name)),
            _change_margin(total, before),
        )
        for name, label in _FIGURES.items()
    ]
    columns = ("items", "now", "before", "change", "change off by at most")
    return Table("changes", "Items, compared with the previous count", columns, rows)


def _change_margin(total: dict[str, Any], before: dict[str, Any] | None) -> int | None:
    """Return how far a change on the dashboard's Overview can be off: margins of independent noise add up."""
    return ceil(hypot(total["margin"], before["total"]["margin"])) if before else None


def _change_row(total: dict[str, Any], before: dict[str, Any] | None, name: str) -> int | None:
    """Return how a figure of the dashboard's Overview changed; None where one of the counts is withheld."""
    now, then = total[name], before["total"][name] if before else None
    return None if now is None or then is None else now - then


def _largest_exclusion(excluded: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the condition that excludes most items, for the dashboard's Overview."""
    known = [each for each in excluded if each["total"]]
    return max(known, key=lambda each: int(each["total"])) if known else None
