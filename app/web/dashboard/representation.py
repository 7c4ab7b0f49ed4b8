"""The Representation page: the permitted share of items by two dimensions, as a heat map."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

from starlette.responses import Response

from app.web.dashboard.charts import shade_of
from app.web.pages import PageRequest
from app.web.tables import Table
from schema.enums import ContentKind
from schema.governed import EXAMINERS

VIEWS: Final[Mapping[str, tuple[str, str]]] = {
    "country-kind": ("COUNTRY", "KIND"),
    "language-kind": ("LANGUAGE", "KIND"),
    "country-language": ("COUNTRY", "LANGUAGE"),
}
MAX_COLUMNS: Final = 12
MIN_HEADLINE_ITEMS: Final = 100
"""The minimum number of items that a value must have to be compared in the headline. With fewer items, the share is too
uncertain."""

NamedRow = tuple[str, dict[str, Any]]
"""A value, and its row of coverage."""


@dataclass(frozen=True, slots=True)
class HeatMapCell:
    """A cell of the heat map; `shade` is 0 to 6. None is withheld."""

    items: int | None
    share: float | None
    shade: int | None


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A heat map with one line per value of the first dimension, the most items first."""

    columns: list[str]
    lines: list[tuple[str, list[HeatMapCell | None]]]
    omitted_columns: int
    greatest_share: float


async def show_representation(request: PageRequest) -> Response:
    """Show the Representation page of the dashboard; officers and auditors can limit it to a kind."""
    view = request.parameter("view") if request.parameter("view") in VIEWS else "country-kind"
    first, second = VIEWS[view or ""]
    can_filter = request.actor.role in EXAMINERS and "KIND" not in (first, second)
    kind = request.parameter("kind") if can_filter and request.parameter("kind") in list(ContentKind) else None
    data = await request.execute(
        "representation",
        rows=[first],
        columns=[second],
        both=[first, second],
        filter={"kinds": [kind]} if kind is not None else None,
        purpose=request.parameter("purpose"),
    )
    if data["byRow"] is None:
        return request.respond("not_counted_yet.html")
    total, rows, cells = data["byRow"]["total"], data["byRow"]["rows"], data["byCell"]["rows"]
    by_row = {_dimension_value(row, first): row for row in rows}
    by_column = {_dimension_value(row, second): row for row in data["byColumn"]["rows"]}
    by_cell = {(_dimension_value(row, first), _dimension_value(row, second)): row for row in cells}
    least, greatest = _extremes([(name, row) for name, row in by_row.items() if _is_comparable(name, row)])
    return request.respond(
        "representation.html",
        _representation_table("cells", (first, second), cells),
        _representation_table("rows", (first,), rows),
        view=view,
        views=VIEWS,
        first=first.lower(),
        second=second.lower(),
        kinds=list(ContentKind) if can_filter else [],
        kind=kind,
        coverage=data["byRow"],
        total=total,
        least=least,
        greatest=greatest,
        heat_map=_heat_map(total, by_row, by_column, by_cell),
        withheld=sum(row["items"] is None for row in by_cell.values()),
    )


def _heat_map(
    total: dict[str, Any],
    by_row: dict[str, dict[str, Any]],
    by_column: dict[str, dict[str, Any]],
    by_cell: dict[tuple[str, str], dict[str, Any]],
) -> HeatMap:
    """Arrange the cells of the dashboard's heat map, the largest lines and columns first, with totals."""
    columns = sorted(by_column, key=lambda name: -(by_column[name]["items"] or 0))
    shown = columns[:MAX_COLUMNS]
    lines: dict[str, list[dict[str, Any] | None]] = {"all": [total, *(by_column[column] for column in shown)]}
    for name in sorted(by_row, key=lambda name: -(by_row[name]["items"] or 0)):
        lines[name] = [by_row[name], *(by_cell.get((name, column)) for column in shown)]
    greatest = max((row["permittedShare"] or 0.0 for line in lines.values() for row in line if row), default=0.0)

    def cell(row: dict[str, Any] | None) -> HeatMapCell | None:
        """Make one cell of the dashboard's heat map."""
        share = row["permittedShare"] if row else None
        return HeatMapCell(row["items"], share, shade_of(share, greatest)) if row else None

    drawn = [(name, [cell(row) for row in line]) for name, line in lines.items()]
    return HeatMap(shown, drawn, len(columns) - len(shown), greatest)


def _representation_table(name: str, dimensions: tuple[str, ...], rows: list[dict[str, Any]]) -> Table:
    """Make a table of the dashboard's Representation page."""
    labels = [dimension.lower() for dimension in dimensions]
    return Table(
        name,
        f"By {' and '.join(labels)}",
        (
            *(*labels, "items", "permitted", "off by at most"),
            *("permitted share", "margin of error of the share", "representation ratio"),
        ),
        [
            (
                *(_dimension_value(row, dimension) for dimension in dimensions),
                row["items"],
                row["permitted"],
                _margin_of(row),
                row["permittedShare"],
                row["permittedShareMargin"],
                row["representationRatio"],
            )
            for row in rows
        ],
    )


def _margin_of(row: dict[str, Any]) -> int | None:
    """Return how far the counts of a row of the Representation page can be off; None where they are withheld."""
    return None if row["items"] is None else row["margin"]


def _dimension_value(row: dict[str, Any], dimension: str) -> str:
    """Return the value of a dimension in a row of the dashboard's Representation page."""
    value: str = next(each["value"] for each in row["key"] if each["dimension"] == dimension)
    return value


def _extremes(rows: list[NamedRow]) -> tuple[NamedRow | None, NamedRow | None]:
    """Return the rows with the least and the greatest permitted share; none if their margins are larger than that."""
    if len(rows) < 2:
        return None, None
    ordered = sorted(rows, key=lambda each: float(each[1]["permittedShare"]))
    (_, least), (_, greatest) = ordered[0], ordered[-1]
    apart = greatest["permittedShare"] - least["permittedShare"]
    off_by = hypot(least["permittedShareMargin"], greatest["permittedShareMargin"])
    return (ordered[0], ordered[-1]) if apart > off_by or off_by == 0 else (None, None)


def _is_comparable(name: str, row: dict[str, Any]) -> bool:
    """Return whether a row fits the Representation page's headline: a named value, enough items, a share above zero."""
    return (
        name not in ("unknown", "other") and (row["items"] or 0) >= MIN_HEADLINE_ITEMS and bool(row["permittedShare"])
    )
