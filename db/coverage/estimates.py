"""Better estimates from the measured counts, which tell no more of any person.

Each value of a dimension is measured by itself, and again as a sum of cells: the mean has less noise than either.

An item above another is usually another person's. So that this person cannot be told from every cell, the items below
are measured by kind only (README.md), and each cell loses the same share of its permitted items of a kind.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from math import hypot, sqrt
from typing import Final, NamedTuple

from db.coverage.measurement import SHOWN_FROM, Cell, Key, Measurement

MIN_DEVIATIONS: Final = 3
"""The smallest count of excluded items that is used, as a multiple of the standard deviation of its noise."""


def combined_values(measured: Measurement) -> dict[Key, dict[Key, Cell]]:
    """Return the cells of coverage by one dimension, each the mean of all that was measured of its value."""
    found: dict[Key, dict[Key, Cell]] = {}
    for name, values in measured.values.items():
        found[name,] = {(value,): _mean([cell, *_sums_of(measured, name, value)]) for value, cell in values.items()}
    return found


def _sums_of(measured: Measurement, name: str, value: str) -> Iterable[Cell]:
    """Yield the measured cells of a value from each table of coverage by two dimensions, added up."""
    for pair, cells in measured.pairs.items():
        if name in pair:
            place = pair.index(name)
            listed = [cell for key, cell in cells.items() if key[place] == value]
            if listed:
                yield reduce(Cell.plus, listed)


def _mean(cells: Sequence[Cell]) -> Cell:
    """Return the mean of independent measurements of one coverage cell, weighed by their precision."""
    weights = [1 / cell.deviation**2 for cell in cells]
    whole = sum(weights)
    permitted, others = (
        sum(weight * cell[layer] for weight, cell in zip(weights, cells, strict=True)) / whole for layer in (0, 1)
    )
    return Cell(permitted, others, 1 / sqrt(whole))


class Share(NamedTuple):
    """A share of permitted items that items above them exclude, with the standard deviation of its error."""

    value: float
    deviation: float

    def subtract_from(self, cell: Cell) -> Cell:
        """Take the share off the permitted items of a measured cell of coverage."""
        return cell.less(self.value, self.deviation)


class ExcludedShares:
    """The shares of permitted items that items above them exclude, by what a cell of coverage counts."""

    def __init__(self, measured: Measurement) -> None:
        deviation = measured.deviations["BELOW"]
        kinds = measured.values["KIND"]
        self._by_kind = {kind: _share_of_kind(measured.below[kind], deviation, cell) for kind, cell in kinds.items()}
        self.overall = Share(0.0, 0.0)
        self.overall = self._average((kind, cell) for kind, cell in kinds.items())
        self._by_value = {
            (name, value): self._average(
                (kind, cell) for (kind, its_value), cell in pairs.items() if its_value == value
            )
            for name in ("COUNTRY", "PRODUCT")
            if (pairs := measured.pairs["KIND", name])
            for value in {key[1] for key in pairs}
        }

    def of_cell(self, table: Key, key: Key) -> Share:
        """Return the share for a cell of coverage: that of its kind, else of its country or product, else of all."""
        values = dict(zip(table, key, strict=True))
        if "KIND" in values:
            return self._by_kind[values["KIND"]]
        return next((self._by_value[each] for each in values.items() if each in self._by_value), self.overall)

    def _average(self, cells: Iterable[tuple[str, Cell]]) -> Share:
        """Weigh the shares of kinds by the permitted items of each in coverage; if these are few, as in all items."""
        listed = [*cells]
        weights = {kind: max(0.0, cell.permitted) for kind, cell in listed}
        whole = sum(weights.values())
        if whole < SHOWN_FROM * max(cell.deviation for _, cell in listed) * sqrt(len(listed)):
            return self.overall
        return Share(
            sum(weight * self._by_kind[kind].value for kind, weight in weights.items()) / whole,
            hypot(*(weight * self._by_kind[kind].deviation for kind, weight in weights.items())) / whole,
        )


class Deliveries(NamedTuple):
    """The estimated numbers of delivered and of retracted items, with the standard deviation of the error."""

    delivered: float
    retracted: float
    deviation: float


def estimate_deliveries(measured: Measurement, total: Cell) -> Deliveries:
    """Estimate the delivered items of all coverage.

    Other persons' data can keep an item with a parent, a family or references from being delivered, so none of these is
    measured. Of the permitted items, and of the others, the same share is taken as delivered as of those that stand
    alone.
    """
    kept, permitted, retracted, others = measured.deliveries
    deviation = measured.deviations["DELIVERIES"]
    of_permitted, of_others = _share_of_part(kept, permitted, deviation), _share_of_part(retracted, others, deviation)
    removed = of_others.value * total.others
    return Deliveries(
        of_permitted.value * total.permitted + removed,
        removed,
        hypot(
            of_permitted.deviation * total.permitted,
            of_others.deviation * total.others,
            hypot(of_permitted.value, of_others.value) * total.deviation,
            abs(of_permitted.value - of_others.value) * total.estimate,
        ),
    )


def _share_of_part(part: float, rest: float, deviation: float) -> Share:
    """Return the share of a measured part of a coverage count in the whole; it is unknown if the whole is too small."""
    whole = part + rest
    if whole < MIN_DEVIATIONS * sqrt(2) * deviation:
        return Share(0.0, 1.0)
    share = max(0.0, min(1.0, part / whole))
    return Share(share, deviation * hypot(share, 1 - share) / whole)


def _share_of_kind(below: float, deviation: float, cell: Cell) -> Share:
    """Divide the measured items of a kind below excluding ones by the permitted items of that kind in coverage."""
    if below < MIN_DEVIATIONS * deviation or cell.permitted < SHOWN_FROM * cell.deviation:
        return Share(0.0, 0.0)
    share = min(1.0, below / cell.permitted)
    return Share(share, share * hypot(deviation / below, cell.deviation / cell.permitted))
