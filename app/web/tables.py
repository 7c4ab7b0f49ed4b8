"""Tables of numbers: the source of every chart, the text for screen readers, and the rows of CSV files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

Cell = str | int | float | None
"""The value of a table cell; None means that the number is withheld or unknown."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `name` is also the name of its CSV file."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def csv_response(table: Table) -> Response:
    """Respond with a web page's table as CSV (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(table.columns)
    writer.writerows([_without_formula(cell) for cell in row] for row in table.rows)
    return Response(
        written.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{table.name}.csv"'},
    )


def _without_formula(cell: Cell) -> Cell:
    """Put an apostrophe before a web table's text that a spreadsheet would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA) else cell
