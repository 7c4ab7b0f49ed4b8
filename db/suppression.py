"""Complementary suppression in one table: every small count could as well be 10, whatever else is published."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

SMALL = 10

Pair = tuple[str, str]
Layers = tuple[int, ...]
"""The items of a cell: those permitted, the others; or all of them, where too few are one or the other."""


def safe(count: int) -> bool:
    """Tell whether a count singles nobody out."""
    return count == 0 or count >= SMALL


def suppressed_cells(table: Mapping[Pair, Layers]) -> frozenset[Pair]:
    """Find the cells to suppress in a table by two dimensions whose rows and columns have safe sums in every layer.

    These are the cells with a small count in some layer, and others, so that in each layer each small count can be
    raised to 10 by other suppressed cells without any row's or column's sum changing.
    """
    hidden = _Hidden(cell for cell, layers in table.items() if not all(map(safe, layers)))
    targets = sorted(hidden.cells)
    rows, columns = ({cell[side] for cell in table} for side in (0, 1))
    for layer in range(max(map(len, table.values()), default=0)):
        counts = {cell: layers[layer] for cell, layers in table.items() if layers[layer]}
        for cell in targets:
            need = SMALL - counts.get(cell, SMALL)
            if need > 0 and not hidden.raises(counts, cell, need):
                hidden.add(_cheapest_way_around(table, counts, hidden.cells, cell, need))
                for more in _lines(table, rows, columns, cell):
                    if hidden.raises(counts, cell, need):
                        break
                    hidden.add(more)
    return frozenset(hidden.cells)


class _Hidden:
    """Hold the suppressed cells, by row and by column."""

    def __init__(self, cells: Iterable[Pair]) -> None:
        self.cells: set[Pair] = set()
        self._of_row: dict[str, set[str]] = defaultdict(set)
        self._of_column: dict[str, set[str]] = defaultdict(set)
        self.add(cells)

    def add(self, cells: Iterable[Pair]) -> None:
        """Suppress more cells."""
        for row, column in cells:
            self.cells.add((row, column))
            self._of_row[row].add(column)
            self._of_column[column].add(row)

    def raises(self, counts: Mapping[Pair, int], cell: Pair, need: int) -> bool:
        """Tell whether a cell's count can grow by so much while all that is not suppressed stays: a maximum flow."""
        now = defaultdict(int, counts)
        while need > 0:
            way = self._way(now, cell)
            if way is None:
                return False
            moved = min(need, *(now[taken] for taken in way[::2]))
            for place, each in enumerate(way):
                now[each] += moved if place % 2 else -moved
            need -= moved
        return True

    def _way(self, now: Mapping[Pair, int], cell: Pair) -> list[Pair] | None:
        """Find cells that give and take in turn, from the cell's column to its row; the first and the last one give."""
        goal, start = cell
        came: dict[str, tuple[Pair, ...]] = {start: ()}
        queue = deque([start])
        passed: set[str] = set()
        while queue:
            column = queue.popleft()
            for row in sorted(self._of_column[column]):
                giving = (row, column)
                if giving == cell or now[giving] <= 0 or row in passed:
                    continue
                if row == goal:
                    return [*came[column], giving]
                passed.add(row)
                for other in sorted(self._of_row[row] - came.keys()):
                    came[other] = (*came[column], giving, (row, other))
                    queue.append(other)
        return None


def _cheapest_way_around(
    table: Mapping[Pair, Layers], counts: Mapping[Pair, int], hidden: set[Pair], cell: Pair, need: int
) -> list[Pair]:
    """Find three cells, the corners of a rectangle with this one, that hide the fewest items more; or none."""

    def cost(each: Pair) -> int:
        return 0 if each in hidden else 1 + sum(table.get(each, ()))

    giving_rows = [other for other, column in counts if column == cell[1] and counts[other, column] >= need]
    giving_columns = [column for row, column in counts if row == cell[0] and counts[row, column] >= need]
    corners = [
        [(row, cell[1]), (cell[0], column), (row, column)]
        for row in giving_rows
        for column in giving_columns
        if row != cell[0] and column != cell[1]
    ]
    return min(corners, key=lambda three: (sum(map(cost, three)), three), default=[])


def _lines(table: Mapping[Pair, Layers], rows: set[str], columns: set[str], cell: Pair) -> Iterable[list[Pair]]:
    """Give whole lines: the cell's column and row, then the other rows, the smallest first; all of them are enough."""
    yield [(row, cell[1]) for row in rows]
    yield [(cell[0], column) for column in columns]
    sizes = {row: sum(sum(table.get((row, column), ())) for column in columns) for row in rows}
    for row in sorted(rows, key=lambda row: (sizes[row], row)):
        yield [(row, column) for column in columns]
