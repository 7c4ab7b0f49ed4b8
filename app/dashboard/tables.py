"""Numbers as a table: what a chart is drawn from, what a screen reader reads, and what goes into a CSV file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

Cell = str | int | float | None
"""None is a number that is withheld, or not known."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table; `name` is that of its CSV file."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def as_csv(table: Table) -> Response:
    """Answer with a table as CSV (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(table.columns)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return Response(
        written.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{table.name}.csv"'},
    )


def _plain(cell: Cell) -> Cell:
    """Write a cell so that no spreadsheet takes it for a formula: text that begins like one gets an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA) else cell
