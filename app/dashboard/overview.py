"""How many items there are, how many qualify, what the others fall by, and what changed since yesterday."""

from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from app.dashboard.charts import Step, waterfall
from app.dashboard.desk import Visit
from app.dashboard.frame import word
from app.dashboard.tables import Table

_FIGURES: Final = {
    "items": "items",
    "permitted": "qualify",
    "delivered": "were delivered to a client",
    "retracted": "were retracted from one",
}


async def show(visit: Visit) -> Response:
    """Show the count of the newest day beside that of the day before."""
    found = await visit.ask("overview")
    coverage = found["coverage"]
    if coverage is None:
        return visit.page("uncounted.html")
    eve = date.fromisoformat(coverage["day"]) - timedelta(days=1)
    before = (await visit.ask("overview_before", day=eve.isoformat()))["coverage"]
    total, sentences = coverage["total"], {each["code"]: each["sentence"] for each in found["conditions"]}
    tables = _way(coverage, sentences), _days(total, before)
    return visit.page(
        "overview.html",
        *tables,
        coverage=coverage,
        total=total,
        before=before,
        figures=[(name, said, total[name], _since(total, before, name)) for name, said in _FIGURES.items()],
        largest=_largest(total["excluded"]),
        sentences=sentences,
        chart=_chart(coverage),
    )


def _chart(coverage: dict[str, Any]) -> Any:
    """Draw the way down, where the number that it begins with is not withheld."""
    items = coverage["total"]["items"]
    steps = [Step((word(each["condition"]),), each["left"]) for each in coverage["way"]]
    return waterfall(items, steps, "all items", "qualify") if items and steps else None


def _way(coverage: dict[str, Any], sentences: dict[str, str]) -> Table:
    rows: list[tuple[str, str, int | None, int | None]] = []
    left = coverage["total"]["items"]
    for step in coverage["way"]:
        lost = None if left is None or step["left"] is None else left - step["left"]
        rows.append((step["condition"], sentences.get(step["condition"], ""), lost, step["left"]))
        left = step["left"]
    columns = ("condition", "what must hold", "excluded here", "left after it")
    return Table("way", "The way down, condition by condition", columns, rows)


def _days(total: dict[str, Any], before: dict[str, Any] | None) -> Table:
    rows = [
        (said, total[name], before["total"][name] if before else None, _since(total, before, name))
        for name, said in _FIGURES.items()
    ]
    return Table("days", "Items, and since the day before", ("items that", "now", "the day before", "change"), rows)


def _since(total: dict[str, Any], before: dict[str, Any] | None, name: str) -> int | None:
    now, then = total[name], before["total"][name] if before else None
    return None if now is None or then is None else now - then


def _largest(excluded: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Give the condition that keeps out most."""
    known = [each for each in excluded if each["any"]]
    return max(known, key=lambda each: int(each["any"])) if known else None
