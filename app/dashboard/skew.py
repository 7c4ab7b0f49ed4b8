"""Whether what is permitted is like what there is: the permitted share by two dimensions, as a heat map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from app.dashboard.charts import level
from app.dashboard.desk import Visit
from app.dashboard.tables import Table
from schema.governed import EXAMINERS
from schema.values import ContentKind

VIEWS: Final[Mapping[str, tuple[str, str]]] = {
    "country-kind": ("COUNTRY", "KIND"),
    "language-kind": ("LANGUAGE", "KIND"),
    "country-language": ("COUNTRY", "LANGUAGE"),
}
MOST_COLUMNS: Final = 12
ENOUGH: Final = 100
"""From how many items on a share is worth a headline."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold a cell of the map; `level` is its shade."""

    items: int | None
    share: float | None
    level: int | None


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Hold a map: a line for each value of its first dimension, the most items first."""

    columns: list[str]
    lines: list[tuple[str, list[Cell | None]]]
    left_out: int
    most: float


async def show(visit: Visit) -> Response:
    """Show one of the views; officers and auditors may narrow it to a kind, which is a third dimension."""
    view = visit.asked("view") if visit.asked("view") in VIEWS else "country-kind"
    first, second = VIEWS[view or ""]
    exact = visit.actor.role in EXAMINERS
    narrowable = exact and "KIND" not in (first, second)
    kind = visit.asked("kind") if narrowable and visit.asked("kind") in list(ContentKind) else None
    found = await visit.ask(
        "skew",
        rows=[first],
        columns=[second],
        both=[first, second],
        filter={"kinds": [kind]} if kind is not None else None,
    )
    if found["ones"] is None:
        return visit.page("uncounted.html")
    total, ones = found["ones"]["total"], found["ones"]["rows"]
    lines = {_value(row, first): row for row in ones}
    tops = {_value(row, second): row for row in found["tops"]["rows"]}
    cells = {(_value(row, first), _value(row, second)): row for row in found["cells"]["rows"]}
    telling = [(name, row) for name, row in lines.items() if _is_telling(name, row)]
    telling.sort(key=lambda each: float(each[1]["permittedShare"]))
    return visit.page(
        "skew.html",
        _table("cells", (first, second), found["cells"]["rows"]),
        _table("ones", (first,), ones),
        view=view,
        views=VIEWS,
        first=first.lower(),
        second=second.lower(),
        kinds=list(ContentKind) if narrowable else [],
        kind=kind,
        coverage=found["ones"],
        total=total,
        least=telling[0] if len(telling) > 1 else None,
        greatest=telling[-1] if len(telling) > 1 else None,
        heat=_map(total, lines, tops, cells),
        withheld=sum(row["items"] is None for row in cells.values()),
    )


def _map(
    total: dict[str, Any],
    lines: dict[str, dict[str, Any]],
    tops: dict[str, dict[str, Any]],
    cells: dict[tuple[str, str], dict[str, Any]],
) -> HeatMap:
    """Set the cells out, the largest lines and columns first, beneath and behind what they come to together."""
    columns = sorted(tops, key=lambda name: -(tops[name]["items"] or 0))
    shown = columns[:MOST_COLUMNS]
    rows: dict[str, list[dict[str, Any] | None]] = {"all": [total, *(tops[column] for column in shown)]}
    for name in sorted(lines, key=lambda name: -(lines[name]["items"] or 0)):
        rows[name] = [lines[name], *(cells.get((name, column)) for column in shown)]
    most = max((row["permittedShare"] or 0.0 for body in rows.values() for row in body if row), default=0.0)

    def cell(row: dict[str, Any] | None) -> Cell | None:
        return Cell(row["items"], row["permittedShare"], level(row["permittedShare"], most)) if row else None

    drawn = [(name, [cell(row) for row in body]) for name, body in rows.items()]
    return HeatMap(shown, drawn, len(columns) - len(shown), most)


def _table(name: str, dimensions: tuple[str, ...], rows: list[dict[str, Any]]) -> Table:
    words = [dimension.lower() for dimension in dimensions]
    return Table(
        name,
        f"By {' and '.join(words)}",
        (*words, "items", "permitted", "permitted share", "skew"),
        [
            (
                *(_value(row, dimension) for dimension in dimensions),
                row["items"],
                row["permitted"],
                row["permittedShare"],
                row["skew"],
            )
            for row in rows
        ],
    )


def _value(row: dict[str, Any], dimension: str) -> str:
    value: str = next(each["value"] for each in row["key"] if each["dimension"] == dimension)
    return value


def _is_telling(name: str, row: dict[str, Any]) -> bool:
    """Say whether a line is worth a headline: enough items, and a share that no rule makes nothing of."""
    return name not in ("unknown", "other") and (row["items"] or 0) >= ENOUGH and bool(row["permittedShare"])
