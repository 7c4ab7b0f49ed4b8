"""What of the counts may be published, so that nobody can be singled out: no count from 1 to 9 can be told.

Three rules, of which each is simple and the sum is sound (README, "Coverage"):

1. Values that are rare in their dimension are one value, "other", in every table. What is left has no small count in
   any table of one dimension.
2. Of tables of two dimensions those are published that make a tree (JOINS). Two tables meet in one dimension only, and
   its counts are published as they are: whatever can be the case in each table by itself can be the case in all of them
   together, so that no combination of tables tells more than each one does.
3. In each table, small cells are suppressed, and as many others as it takes that each small one could hold 10: there is
   a way around through suppressed cells by which 10 come in and every row and column keeps its sum. Permitted items and
   others are each counted so, by themselves, and a cell is suppressed for both.

A ground is a union of kinds: its tables are protected first, and each ground's kinds among themselves.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

from db.suppression import Layers, Pair, safe, suppressed_cells

BASE = 5
OTHER = "other"
HIDDEN = ""

JOINS = (("KIND", "COUNTRY"), ("COUNTRY", "LANGUAGE"), ("KIND", "PRODUCT"), ("KIND", "MONTH"))
OF_GROUNDS = (("COUNTRY", "GROUND"), ("PRODUCT", "GROUND"), ("MONTH", "GROUND"))
PUBLISHED = (*JOINS, ("KIND", "GROUND"), *OF_GROUNDS)
DIMENSIONS = ("KIND", "PRODUCT", "COUNTRY", "LANGUAGE", "MONTH", "GROUND")

Key = TypeVar("Key")
Counts = tuple[int, int | None]
"""Items and permitted ones, published."""


class Total(NamedTuple):
    """Hold what is counted of all items. Each condition has a place: fails it, fails it alone, fails it first."""

    items: int
    permitted: int
    delivered: int
    retracted: int
    failing: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    first: tuple[int, ...] = ()


class PublishedTotal(NamedTuple):
    """Hold what is published of it: rounded, None where it is suppressed. `left` passed each condition in turn."""

    items: int | None
    permitted: int | None
    delivered: int | None
    retracted: int | None
    failing: tuple[int | None, ...]
    alone: tuple[int | None, ...]
    left: tuple[int | None, ...]


class Published(NamedTuple):
    """Hold all that is published of a snapshot; None is a suppressed cell, a cell that is not there is empty."""

    total: PublishedTotal
    values: dict[str, dict[str, Counts]]
    pairs: dict[Pair, dict[Pair, Counts | None]]


def rounded(count: int) -> int:
    """Round to the nearest multiple of five."""
    return (count + BASE // 2) // BASE * BASE


def protect(
    total: Total, values: Mapping[str, Mapping[str, Layers]], pairs: Mapping[Pair, Mapping[Pair, Layers]]
) -> Published:
    """Publish what may be published of exact counts: (permitted, others) by value, and by pair of values.

    `values` has every dimension, `pairs` every table of JOINS and the one of KIND by GROUND.
    """
    if not safe(total.items):
        return Published(protected_total(total), {name: {} for name in DIMENSIONS}, {pair: {} for pair in PUBLISHED})
    apart = safe(total.permitted) and safe(total.items - total.permitted)
    of_values = {name: _layered(table, apart=apart) for name, table in values.items()}
    labels = labels_of(of_values, dict(pairs["KIND", "GROUND"]))
    singles: dict[str, dict[str, Counts]] = {}
    for name, table in of_values.items():
        merged = _summed((labels[name][value], layers) for value, layers in table.items())
        singles[name] = {value: _counts(layers) for value, layers in merged.items()}
    ground_of = {labels["KIND"][kind]: labels["GROUND"][ground] for kind, ground in pairs["KIND", "GROUND"]}
    shown: dict[Pair, dict[Pair, Counts | None]] = {
        ("KIND", "GROUND"): {(kind, ground): singles["KIND"][kind] for kind, ground in ground_of.items()}
    }
    for a, b in JOINS:
        exact = _layered(pairs[a, b], apart=apart).items()
        cells = _summed(((labels[a][x], labels[b][y]), layers) for (x, y), layers in exact)
        if a == "KIND":
            by_ground, of_grounds, hidden = protected_kinds(cells, ground_of)
            shown[b, "GROUND"] = _shown(by_ground, of_grounds)
        else:
            hidden = suppressed_cells(cells)
        shown[a, b] = _shown(cells, hidden)
    return Published(protected_total(total), singles, shown)


def protected_kinds(
    cells: Mapping[Pair, Layers], ground_of: Mapping[str, str]
) -> tuple[dict[Pair, Layers], frozenset[Pair], frozenset[Pair]]:
    """Protect a table of kinds by something, and the table of their grounds; give the latter, and what each hides.

    First the grounds; then within each ground its kinds, so that no ground's count changes. Where a ground's count is
    hidden so are those of its kinds, which together are one column.
    """
    by_ground = _summed(((column, ground_of[kind]), layers) for (kind, column), layers in cells.items())
    of_grounds = suppressed_cells(by_ground)
    hidden: set[Pair] = set()
    for ground in sorted(set(ground_of.values())):
        together = {column for column, its_ground in of_grounds if its_ground == ground}
        kinds = [kind for kind in ground_of if ground_of[kind] == ground]
        table = _summed(
            ((kind, HIDDEN if column in together else column), layers)
            for (kind, column), layers in cells.items()
            if ground_of[kind] == ground
        )
        hidden |= {cell for cell in suppressed_cells(table) if cell[1] != HIDDEN}
        hidden |= {(kind, column) for kind in kinds for column in together}
    return by_ground, of_grounds, frozenset(hidden)


def rare_values(table: Mapping[str, Layers]) -> frozenset[str]:
    """Find the values that are counted as one: those with a small count, and the next smallest until the sum is none.

    The sums over the whole table must be safe.
    """
    rare = {value for value, layers in table.items() if not all(map(safe, layers))}
    others = sorted(table.keys() - rare, key=lambda value: (-sum(table[value]), value))
    while not all(map(safe, _sums(table[value] for value in rare))):
        rare.add(others.pop())
    return frozenset(rare)


def labels_of(values: Mapping[str, Mapping[str, Layers]], kinds: Mapping[Pair, Layers]) -> dict[str, dict[str, str]]:
    """Say what each value is published as. Rare kinds are one value in each ground, whose tables are sums of kinds."""
    labels: dict[str, dict[str, str]] = {}
    for dimension, table in values.items():
        rare = rare_values(table)
        labels[dimension] = {value: OTHER if value in rare else value for value in table}
    ground_of = {kind: labels["GROUND"][ground] for kind, ground in kinds}  # under a policy, a kind has one ground
    of_kind = values["KIND"]
    rare_by_ground = {
        ground: rare_values({kind: layers for kind, layers in of_kind.items() if ground_of[kind] == ground})
        for ground in sorted(set(ground_of.values()))
    }
    several = sum(map(bool, rare_by_ground.values())) > 1
    labels["KIND"] = {
        kind: (f"{OTHER} {ground_of[kind]}" if several else OTHER) if kind in rare_by_ground[ground_of[kind]] else kind
        for kind in of_kind
    }
    return labels


def protected_total(total: Total) -> PublishedTotal:
    """Publish the counts of all items.

    What a condition keeps out is shown unless somebody is singled out by it, by those whom it does not keep out, or
    by the next step of the way down; what it alone keeps out is shown where that is so for every condition.
    """
    items, permitted, delivered, retracted, *_ = total
    out = items - permitted
    everything = _shown_if(items, safe(items))
    qualifying = _shown_if(permitted, all(map(safe, (items, permitted, out))))
    received = _shown_if(delivered, all(map(safe, (items, delivered, items - delivered))))
    told = all(map(safe, (items, delivered, retracted, delivered - retracted, items - retracted)))
    taken_back = _shown_if(retracted, told)
    if qualifying is None:
        nothing = (None,) * len(total.failing)
        return PublishedTotal(everything, None, received, taken_back, nothing, nothing, nothing)
    steps = _steps(total.first)
    left = [items - gone for gone in accumulate(total.first)]
    failing: list[bool] = []
    for before, last in pairwise([-1, *steps]):
        among = total.failing[before + 1 : last + 1]
        gone = items - left[last]
        fallen = sum(total.first[before + 1 : last + 1])
        twice = safe(sum(among) - fallen)  # who failed more than one of these, or one before them as well
        failing += [twice and all(map(safe, (n, items - n, out - n, gone - n))) for n in among]
    several = out - sum(total.alone)
    alone = all(failing) and all(map(safe, (several, *total.alone))) and all(
        safe(count - only) and safe(first - only)
        for count, only, first in zip(total.failing, total.alone, total.first, strict=True)
    )  # fmt: skip
    return PublishedTotal(
        everything,
        qualifying,
        received,
        taken_back,
        tuple(map(_shown_if, total.failing, failing)),
        tuple(_shown_if(count, alone) for count in total.alone),
        tuple(_shown_if(count, place in steps) for place, count in enumerate(left)),
    )


def _steps(first: tuple[int, ...]) -> list[int]:
    """Find after which conditions it is told how many items are left: between two of these, none or enough fell out."""
    steps: list[int] = []
    fallen = [0]
    for place, count in enumerate(first):
        fallen[-1] += count
        if safe(fallen[-1]):
            steps.append(place)
            fallen.append(0)
    while fallen[-1]:  # too few fell out at last: they are counted with those before
        few = fallen.pop()
        fallen[-1] += few
        steps.pop()
        if safe(fallen[-1]):
            fallen.append(0)
            steps.append(len(first) - 1)
    return steps


def _layered(table: Mapping[Key, Layers], *, apart: bool) -> dict[Key, Layers]:
    """Count permitted items and others apart, or as one layer."""
    return {key: layers if apart else (sum(layers),) for key, layers in table.items()}


def _summed(cells: Iterable[tuple[Key, Layers]]) -> dict[Key, Layers]:
    """Add up what is published under the same name."""
    sums: dict[Key, Layers] = {}
    for key, layers in cells:
        sums[key] = tuple(map(sum, zip(sums[key], layers, strict=True))) if key in sums else layers
    return sums


def _shown(table: Mapping[Pair, Layers], hidden: frozenset[Pair]) -> dict[Pair, Counts | None]:
    """Publish the cells that are not hidden; a hidden one may be empty."""
    return {key: None if key in hidden else _counts(table[key]) for key in sorted(table.keys() | hidden)}


def _counts(layers: Layers) -> Counts:
    return rounded(sum(layers)), rounded(layers[0]) if len(layers) > 1 else None


def _shown_if(count: int, shown: bool) -> int | None:
    return rounded(count) if shown else None


def _sums(rows: Iterable[Layers]) -> list[int]:
    return [sum(layer) for layer in zip(*rows, strict=True)]
