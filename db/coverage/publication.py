"""The published coverage. It is computed only from measurements with noise, so it reveals no more than they do."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil, hypot, sqrt
from typing import Final, NamedTuple

from db.coverage.estimates import Deliveries, ExcludedShares, combined_values, estimate_deliveries
from db.coverage.measurement import (
    MEASURED_PAIRS,
    OPEN_DIMENSIONS,
    OTHER,
    SHOWN_FROM,
    Cell,
    CountedCoverage,
    Key,
    Measurement,
)
from db.coverage.noise import Noise, gaussian_noise, noise_margin
from db.policy.conditions import CONDITIONS

ROUNDING_BASE: Final = 10
MAX_UNCERTAINTY: Final = 0.1
"""The maximum margin of the counts by condition, as a share of all items. Counts with a larger margin are withheld."""
ABOVE: Final = next(place for place, condition in enumerate(CONDITIONS) if condition.code == "AUDIENCE_PUBLIC")
"""The place of the condition that an item fails because of an item above it."""
ONLY_OF_OTHERS: Final = {place for place, condition in enumerate(CONDITIONS) if condition.predicate_of_author == "TRUE"}
"""The places of the conditions that depend only on other persons. For these conditions, no counts are published."""
PUBLISHED_PAIRS: Final = (*MEASURED_PAIRS, ("KIND", "GROUND"), ("COUNTRY", "GROUND"), ("PRODUCT", "GROUND"))
TABLES: Final[Sequence[Key]] = (("KIND",), *((name,) for name in OPEN_DIMENSIONS), ("GROUND",), *PUBLISHED_PAIRS)


class CountRow(NamedTuple):
    """The counts of the items that share some values; None is suppressed.

    Each condition has a place in `failing` (fails it), `alone` (fails it only) and `left` (passed it and all before);
    these are empty where nothing is published of them. A margin is how far counts can be off, 0 where they are exact:
    those of the row, of `failing` and `alone`, of `left`.
    """

    key: Key
    items: int | None
    permitted: int | None
    delivered: int | None = None
    retracted: int | None = None
    failing: Sequence[int | None] = ()
    alone: Sequence[int | None] = ()
    left: Sequence[int | None] = ()
    margin: int = 0
    exclusion_margin: int = 0
    step_margin: int = 0


def share_margin(row: CountRow) -> float | None:
    """Return how far the permitted share of a published coverage row can be off by noise; None if it is suppressed.

    Permitted items and others have separate noise of the same deviation, each at most 1 / sqrt(2) of the margin. The
    factor of a table changes both alike, and so no share.
    """
    if not row.items or row.permitted is None:
        return None
    share = row.permitted / row.items
    return min(1.0, row.margin / sqrt(2) * hypot(share, 1 - share) / row.items)


def protect_counts(counted: CountedCoverage, noise: Noise = gaussian_noise) -> dict[str, list[CountRow]]:
    """Measure coverage with noise, and return the published tables by the names of dimensions; "" is all items.

    Where too few persons are counted for the total to be shown, every table is empty.
    """
    measured = Measurement(counted, noise)
    if not _is_shown(measured.total) or measured.in_tables < SHOWN_FROM * measured.deviations["SCALE"]:
        nothing = (None,) * len(measured.first)
        return {"": [CountRow((), None, None, None, None, nothing, nothing, nothing)]} | {
            ",".join(table): [] for table in TABLES
        }
    scale = max(1.0, measured.total.items / measured.in_tables)
    uncertainty = hypot(
        measured.total.items_deviation / measured.total.items, measured.deviations["SCALE"] / measured.in_tables
    )
    shares = ExcludedShares(measured)
    cells = _all_cells(measured, shares, scale, counted.grounds)
    named = {(name, value) for name, values in measured.values.items() if name != "KIND" for value in values}
    return {"": [_total_row(measured, shares)]} | {
        ",".join(table): [
            _cell_row(key, cell, scale, uncertainty, shown=(*table, *key) in named or _is_shown(cell))
            for key, cell in cells[table].items()
        ]
        for table in TABLES
    }


def _all_cells(
    measured: Measurement, shares: ExcludedShares, scale: float, grounds: Mapping[str, str]
) -> dict[Key, dict[Key, Cell]]:
    """Arrange the measured cells of coverage in tables, with what can be computed from them."""
    whole = Cell(
        measured.total.permitted / scale,
        measured.total.others / scale,
        hypot(measured.total.deviation / scale, measured.deviations["SCALE"]),
    )
    found = combined_values(measured) | measured.pairs
    cells = {
        table: {key: shares.of_cell(table, key).subtract_from(cell) for key, cell in of_table.items()}
        for table, of_table in found.items()
    }
    for name in OPEN_DIMENSIONS:
        rest = shares.overall.subtract_from(whole)
        for cell in cells[name,].values():
            rest = rest.plus(cell, -1)
        cells[name,][OTHER,] = rest
    of_kinds = cells["KIND",]
    cells["GROUND",] = _sum_cells(((grounds[kind],), cell) for (kind,), cell in of_kinds.items())
    cells["KIND", "GROUND"] = {(kind, grounds[kind]): cell for (kind,), cell in of_kinds.items()}
    for pair in (("KIND", "COUNTRY"), ("KIND", "PRODUCT")):
        by_kind = cells[pair].items()
        cells[pair[1], "GROUND"] = _sum_cells(((value, grounds[kind]), cell) for (kind, value), cell in by_kind)
    return cells


def _sum_cells(cells: Iterable[tuple[Key, Cell]]) -> dict[Key, Cell]:
    """Add up measured cells of coverage that have the same key."""
    sums: dict[Key, Cell] = {}
    for key, cell in cells:
        sums[key] = sums[key].plus(cell) if key in sums else cell
    return sums


def _is_shown(cell: Cell) -> bool:
    """Return whether a measured cell of coverage is large enough to be published."""
    return cell.items >= SHOWN_FROM * cell.items_deviation


def _cell_row(key: Key, cell: Cell, scale: float, uncertainty: float, *, shown: bool) -> CountRow:
    """Return the published counts of a coverage cell; `uncertainty` is the relative deviation of the scale."""
    if not shown:
        return CountRow(key, None, None)
    items = round_count(scale * cell.items)
    margin = _margin(scale * hypot(cell.items_deviation, uncertainty * cell.items, cell.estimate))
    return CountRow(key, items, round_count(scale * cell.permitted, items), margin=margin)


def _total_row(measured: Measurement, shares: ExcludedShares) -> CountRow:
    """Return the published coverage of all items. A count that can be off by too much is suppressed."""
    total, deviations = shares.overall.subtract_from(measured.total), measured.deviations
    excluded_above = total.others - measured.total.others
    items = round_count(total.items)
    permitted = round_count(total.permitted, items)
    exclusion_margin = _margin(hypot(max(deviations["FAILING"], deviations["ALONE"]), total.estimate))
    failing = [round_count(number, items) for number in _added_above(measured.failing, excluded_above)]
    alone = [round_count(number) for number in _added_above(measured.alone, excluded_above)]
    alone = [min(number, most) for number, most in zip(alone, failing, strict=True)]
    left = _funnel(_added_above(measured.first, excluded_above), items, permitted)
    # The noise of a step is at most that of half of the steps, with both ends known: a Brownian bridge.
    step_margin = _margin(hypot(total.items_deviation, sqrt(len(left) / 4) * deviations["FIRST"], total.estimate))
    nothing = (None,) * len(left)
    delivered, retracted, delivery_margin = _deliveries(estimate_deliveries(measured, total), items)
    uncertain = max(exclusion_margin, step_margin) > MAX_UNCERTAINTY * items
    return CountRow(
        (),
        items,
        permitted,
        delivered,
        retracted,
        nothing if uncertain else _without_others(failing),
        nothing if uncertain else _without_others(alone),
        nothing if uncertain else left,
        max(_margin(hypot(total.items_deviation, total.estimate)), delivery_margin),
        0 if uncertain else exclusion_margin,
        0 if uncertain else step_margin,
    )


def _deliveries(estimate: Deliveries, items: int) -> tuple[int | None, int | None, int]:
    """Return the published numbers of delivered and of retracted items of coverage, with their margin.

    They are suppressed if they can be off by too much.
    """
    if noise_margin(estimate.deviation) > MAX_UNCERTAINTY * items:
        return None, None, 0
    delivered = round_count(estimate.delivered, items)
    return delivered, round_count(estimate.retracted, delivered), _margin(estimate.deviation)


def _added_above(numbers: Sequence[float], excluded: float) -> list[float]:
    """Add the items that items above them exclude to a coverage count by condition."""
    return [number + excluded * (place == ABOVE) for place, number in enumerate(numbers)]


def _without_others(numbers: Iterable[int]) -> list[int | None]:
    """Suppress a published coverage count of the conditions that only other persons' data decide."""
    return [None if place in ONLY_OF_OTHERS else number for place, number in enumerate(numbers)]


def _funnel(first: Sequence[float], items: int, permitted: int) -> list[int]:
    """Return the published eligibility funnel: the number of items that remain after each condition, never
    increasing."""
    missing = items - permitted - sum(first)
    steps = [number + missing / len(first) for number in first]
    left: list[int] = []
    for gone in accumulate(steps):
        left.append(max(permitted, min(round_count(items - gone), left[-1] if left else items)))
    return [*left[:-1], permitted]


def round_count(number: float, at_most: int | None = None) -> int:
    """Round a published count of coverage to a multiple of ROUNDING_BASE."""
    rounded = max(0, round(number / ROUNDING_BASE) * ROUNDING_BASE)
    return rounded if at_most is None else min(rounded, at_most)


def _margin(deviation: float) -> int:
    """Return how far a rounded count of coverage with noise can be off."""
    return ceil((noise_margin(deviation) + ROUNDING_BASE / 2) / ROUNDING_BASE) * ROUNDING_BASE
