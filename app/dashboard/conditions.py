"""Every condition: its sentence, its legal source, the rule itself, and what it excludes."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from app.dashboard.charts import length
from app.dashboard.desk import Visit
from app.dashboard.tables import Table


@dataclass(frozen=True, slots=True)
class Excluding:
    """Hold a condition and how many items it keeps out: at all, and alone; None is withheld or not counted."""

    condition: dict[str, Any]
    any: int | None
    alone: int | None
    length: float

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """Give both counts."""
        return self.any, self.alone


async def show(visit: Visit) -> Response:
    """Show the catalogue, with the newest count."""
    found = await visit.ask("conditions")
    coverage = found["coverage"]
    counted = {each["condition"]: each for each in coverage["total"]["excluded"]} if coverage else {}
    most = max((each["any"] or 0 for each in counted.values()), default=0)
    nothing: dict[str, Any] = {"any": None, "alone": None}
    listed = [
        Excluding(each, count["any"], count["alone"], length(count["any"], most))
        for each in found["conditions"]
        for count in [counted.get(each["code"], nothing)]
    ]
    columns = ("condition", "sentence", "legal source", "predicate", "grounds", "excludes", "excludes alone")
    told = ("code", "sentence", "source", "predicate")
    rows = [
        (*(each.condition[name] for name in told), ", ".join(each.condition["grounds"]), *each.counts)
        for each in listed
    ]
    return visit.page(
        "conditions.html",
        Table("conditions", "Every condition", columns, rows),
        listed=listed,
        coverage=coverage,
        largest=max(listed, key=lambda each: each.any or 0) if most else None,
    )
