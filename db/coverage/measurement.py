"""The measurement of the exact counts with noise. Published numbers are computed only from measured numbers."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from math import hypot, sqrt
from typing import Final, NamedTuple

from db.coverage.noise import Noise, noise_deviations
from db.vocabulary import ContentKind

SHOWN_FROM: Final = 6
"""The minimum count of a cell or value that is shown, as a multiple of the standard deviation of the noise."""
NAMED_DOWN_TO: Final = 4
"""The minimum count, in the same unit, of a value that the previous publication showed by name."""
OTHER: Final = "other"
KINDS: Final = [str(kind) for kind in ContentKind]
OPEN_DIMENSIONS: Final = ("PRODUCT", "COUNTRY", "LANGUAGE", "MONTH")
"""The dimensions with an open set of values: any account or item can have a new value."""
MEASURED_PAIRS: Final = (("KIND", "COUNTRY"), ("COUNTRY", "LANGUAGE"), ("KIND", "PRODUCT"))

Key = tuple[str, ...]
Pair = tuple[str, str]
Layers = tuple[float, float]
"""Permitted items, and others."""


class CountedTotal(NamedTuple):
    """The counts of all items, in which a person counts for MAX_ITEMS_IN_TOTAL at most.

    In `in_tables` it counts for MAX_ITEMS_IN_TABLES. `deliveries` are of the items that no other person's data can keep
    from being delivered: those delivered and not retracted, other permitted ones, those retracted, and all others. By
    index of the condition: items that fail it, that fail it only, that fail it first.
    """

    permitted: float
    others: float
    in_tables: float
    deliveries: Sequence[float]
    failing: Sequence[float]
    alone: Sequence[float]
    first: Sequence[float]


class CountedCoverage(NamedTuple):
    """What was counted for one purpose. `tables` are by the names of their dimensions, then by values.

    Each item is judged by the data about its author. `below` counts by kind those that only an item above excludes.
    `grounds` has the ground of each kind under the policy, `named` the values of each dimension that the publication
    before named. `purposes` is for how many purposes there are counts of the same persons: they share the budget.
    """

    total: CountedTotal
    tables: Mapping[Key, Mapping[Key, Layers]]
    below: Mapping[str, float]
    grounds: Mapping[str, str]
    named: Mapping[str, Collection[str]]
    purposes: int


class Cell(NamedTuple):
    """A measured cell; `deviation` is the standard deviation of the noise of either layer.

    `estimate` is that of the permitted items that were taken for excluded, an error that all cells have in common.
    """

    permitted: float
    others: float
    deviation: float
    estimate: float = 0.0

    @property
    def items(self) -> float:
        """Return the measured number of items in a cell of coverage."""
        return self.permitted + self.others

    @property
    def items_deviation(self) -> float:
        """Return the standard deviation of the noise of a coverage cell's items."""
        return sqrt(2) * self.deviation

    def plus(self, other: "Cell", sign: int = 1) -> "Cell":
        """Add another cell of coverage, or with sign -1 take it away."""
        permitted, others = self.permitted + sign * other.permitted, self.others + sign * other.others
        deviation = hypot(self.deviation, other.deviation)
        return Cell(permitted, others, deviation, self.estimate + sign * other.estimate)

    def less(self, share: float, deviation: float) -> "Cell":
        """Take a share of the permitted items of a coverage cell for excluded, as items above them exclude them."""
        excluded = share * max(0.0, self.permitted)
        estimate = self.estimate + deviation * max(0.0, self.permitted)
        return Cell(self.permitted - excluded, self.others + excluded, self.deviation, estimate)


class Measurement:
    """Everything that is measured of one snapshot for one purpose, each number with noise of its own.

    Of a dimension in which anybody can bring a new value, those with a large measured count are named, and the rest is
    one value, `other`. Of tables of two dimensions every cell is measured, the empty ones too.
    """

    def __init__(self, counted: CountedCoverage, noise: Noise) -> None:
        self.deviations = noise_deviations(len(counted.total.failing), counted.purposes)
        self._noise = noise
        total, tables = counted.total, counted.tables
        self.total = self._cell("TOTAL", (total.permitted, total.others))
        self.deliveries = self._numbers("DELIVERIES", total.deliveries)
        (self.in_tables,) = self._numbers("SCALE", [total.in_tables])
        self.failing = self._numbers("FAILING", total.failing)
        self.alone = self._numbers("ALONE", total.alone)
        self.first = self._numbers("FIRST", total.first)
        self.values = {"KIND": {kind: self._cell("KIND", tables["KIND",].get((kind,), (0, 0))) for kind in KINDS}}
        for name in OPEN_DIMENSIONS:
            measured = {value: self._cell(name, layers) for (value,), layers in tables[name,].items()}
            self.values[name] = named_cells(measured, counted.named.get(name, ()))
        self.below = dict(
            zip(KINDS, self._numbers("BELOW", (counted.below.get(kind, 0) for kind in KINDS)), strict=True)
        )
        self.pairs: dict[Key, dict[Key, Cell]] = {pair: self._pair(pair, tables[pair]) for pair in MEASURED_PAIRS}

    def _numbers(self, name: str, exact: Iterable[float]) -> list[float]:
        """Measure some exact counts of coverage with noise."""
        return [each + self._noise(self.deviations[name]) for each in exact]

    def _cell(self, name: str, layers: Layers) -> Cell:
        """Measure one cell of coverage with noise."""
        permitted, others = self._numbers(name, layers)
        return Cell(permitted, others, self.deviations[name])

    def _pair(self, pair: Pair, exact: Mapping[Key, Layers]) -> dict[Key, Cell]:
        """Measure coverage by a pair of dimensions with noise; values that are not named count as `other`."""
        merged: dict[Key, Layers] = defaultdict(lambda: (0.0, 0.0))
        for key, (permitted, others) in exact.items():
            label = tuple(value if value in self.values[name] else OTHER for name, value in zip(pair, key, strict=True))
            merged[label] = merged[label][0] + permitted, merged[label][1] + others
        named = ([*self.values[name], *([] if name == "KIND" else [OTHER])] for name in pair)
        return {key: self._cell(",".join(pair), merged[key]) for key in product(*named)}


def named_cells(measured: Mapping[str, Cell], before: Collection[str]) -> dict[str, Cell]:
    """Keep the coverage values that are large enough to be named; for a value named before, the limit is lower."""
    return {
        value: cell
        for value, cell in sorted(measured.items())
        if value != OTHER and cell.items >= (NAMED_DOWN_TO if value in before else SHOWN_FROM) * cell.items_deviation
    }
