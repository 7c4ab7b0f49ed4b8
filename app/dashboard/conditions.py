"""Every condition: its sentence, its legal source, the rule itself, and what it excludes."""

from starlette.responses import Response

from app.dashboard.desk import Visit
from app.dashboard.tables import Table


async def show(visit: Visit) -> Response:
    """Show the catalogue."""
    found = await visit.ask("conditions")
    columns = ("condition", "sentence", "legal source", "grounds", "predicate")
    rows = [
        (each["code"], each["sentence"], each["source"], ", ".join(each["grounds"]), each["predicate"])
        for each in found["conditions"]
    ]
    return visit.page(
        "conditions.html", Table("conditions", "Every condition", columns, rows), conditions=found["conditions"]
    )
