"""The Conditions page: the sentence, legal source and rule of each condition, and how many items it excludes."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from app.web.dashboard.charts import bar_length
from app.web.pages import PageRequest
from app.web.tables import Table


@dataclass(frozen=True, slots=True)
class ConditionCount:
    """A condition and how many items it excludes, in total and exclusively; None is withheld or not counted."""

    condition: dict[str, Any]
    total: int | None
    exclusive: int | None
    margin: int
    length: float


async def show_conditions(request: PageRequest) -> Response:
    """Show the Conditions page of the dashboard with the newest counts."""
    data = await request.execute("conditions", purpose=request.parameter("purpose"))
    coverage = data["coverage"]
    counted = {each["condition"]: each for each in coverage["total"]["exclusions"]} if coverage else {}
    most = max((each["total"] or 0 for each in counted.values()), default=0)
    nothing: dict[str, Any] = {"total": None, "exclusive": None, "margin": 0}
    conditions = [
        ConditionCount(each, count["total"], count["exclusive"], count["margin"], bar_length(count["total"], most))
        for each in data["conditions"]
        for count in [counted.get(each["code"], nothing)]
    ]
    return request.respond(
        "conditions.html",
        _conditions_table(conditions),
        conditions=conditions,
        coverage=coverage,
        largest=max(conditions, key=lambda each: each.total or 0) if most else None,
    )


def _conditions_table(conditions: list[ConditionCount]) -> Table:
    """Make the table of the dashboard's Conditions page."""
    columns = (
        "condition",
        "sentence",
        "legal source",
        "predicate",
        "grounds",
        "excludes",
        "excludes exclusively",
        "off by at most",
    )
    texts = ("code", "sentence", "source", "predicate")
    rows = [
        (
            *(each.condition[name] for name in texts),
            ", ".join(each.condition["grounds"]),
            each.total,
            each.exclusive,
            None if each.total is None else each.margin,
        )
        for each in conditions
    ]
    return Table("conditions", "Every condition", columns, rows)
