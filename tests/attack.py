"""An attacker who is given everything that is published of the counts, and reasons about what is not.

The unknowns are the numbers of items with each combination of values, permitted and not: what every table is a sum of,
so that no relation between tables escapes. A published number says what a sum of unknowns is, to its rounding; what is
`other` is the sum of all values that are not named. The attacker even knows which values there are.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[import-untyped] # it has no types
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from db.protection import DIMENSIONS, JOINS, OTHER, Published, PublishedTotal, Total
from db.suppression import SMALL, Layers, Pair

Interval = tuple[float, float]
Matrix = NDArray[np.float64]
GROUNDS = {"AI_INTERACTION": "AI_INTERACTION"}
FREE = DIMENSIONS[:-1]  # a ground follows from its kind


class Item(NamedTuple):
    """Hold what is counted of an item. A ground follows from the kind; `failing` are the places of conditions."""

    kind: str
    product: str
    country: str
    language: str
    month: str
    failing: frozenset[int] = frozenset()

    @property
    def values(self) -> dict[str, str]:
        """Give its value in each dimension."""
        return _with_ground(dict(zip(FREE, self[:5], strict=True)))


def generated_items(random: Random, conditions: int = 4) -> list[Item]:
    """Make up a small platform: some values are common, some rare, and most of what goes together does so by habit."""
    kinds = ["POST", "CAPTION", "PHOTO", "AI_INTERACTION"][: random.randint(2, 4)]
    products, countries = ["FACEBOOK", "INSTAGRAM"], ["IE", "DE", "AT", "PT"][: random.randint(2, 4)]
    languages, months = ["en", "de", "pt"][: random.randint(2, 3)], ["2026-01", "2026-02", "2026-03"]
    habit = random.choice([0.0, 0.5, 0.9, 1.0])
    used_to = {
        (each, dimension): random.choice(values)
        for each in (*kinds, *countries)
        for dimension, values in (("product", products), ("language", languages), ("month", months))
    }
    failing = random.choice([0.02, 0.1, 0.4])

    def skewed(values: Sequence[str]) -> str:
        return values[int(len(values) * random.random() ** 2.5)]

    def item() -> Item:
        kind, country = skewed(kinds), skewed(countries)
        chosen = {
            dimension: used_to[of, dimension] if random.random() < habit else skewed(values)
            for of, dimension, values in (
                (kind, "product", products),
                (country, "language", languages),
                (kind, "month", months),
            )
        }
        failed = frozenset(place for place in range(conditions) if random.random() < failing / (1 + place))
        return Item(kind, chosen["product"], country, chosen["language"], chosen["month"], failed)

    return [item() for _ in range(random.choice([30, 80, 200, 500, 1500]))]


def counted(items: Sequence[Item], conditions: int = 4) -> tuple[Total, Any, Any]:
    """Count a platform as the database does: what `protect` takes."""
    values: dict[str, dict[str, Layers]] = {dimension: {} for dimension in DIMENSIONS}
    pairs: dict[Pair, dict[Pair, Layers]] = {pair: {} for pair in (*combinations(DIMENSIONS, 2), *JOINS)}

    def add(table: dict[Any, Layers], key: Any, item: Item) -> None:
        permitted, others = table.get(key, (0, 0))
        table[key] = (permitted + (not item.failing), others + bool(item.failing))

    for item in items:
        has = item.values
        for dimension in DIMENSIONS:
            add(values[dimension], has[dimension], item)
        for a, b in pairs:
            add(pairs[a, b], (has[a], has[b]), item)
    failing = Counter(place for item in items for place in item.failing)
    alone = Counter(place for item in items for place in item.failing if len(item.failing) == 1)
    first = Counter(min(item.failing) for item in items if item.failing)
    of_places = (tuple(count[place] for place in range(conditions)) for count in (failing, alone, first))
    return Total(len(items), sum(not item.failing for item in items), 0, 0, *of_places), values, pairs


@dataclass(frozen=True)
class Fact:
    """Say of which unknowns a number is the sum: those with one of these values, permitted ones only or all."""

    values: Mapping[str, frozenset[str]]
    permitted: bool
    number: int


def facts_of(published: Published, items: Sequence[Item]) -> Iterator[Fact]:
    """Read what was published, each number as a sum."""
    there = {dimension: {item.values[dimension] for item in items} for dimension in DIMENSIONS}
    named = {dimension: _names(published, dimension, there[dimension]) for dimension in DIMENSIONS}

    def of(dimensions: Sequence[str], key: Sequence[str], counts: tuple[int, int | None]) -> Iterator[Fact]:
        values = {dimension: named[dimension](value) for dimension, value in zip(dimensions, key, strict=True)}
        for permitted, number in enumerate(counts):
            if number is not None:
                yield Fact(values, bool(permitted), number)

    if published.total.items is not None:
        yield from of((), (), (published.total.items, published.total.permitted))
    for dimension, table in published.values.items():
        for value, counts in table.items():
            yield from of((dimension,), (value,), counts)
    for pair, cells in published.pairs.items():
        rows, columns = (published.values[dimension] for dimension in pair)
        for key in product(rows, columns):
            shown = cells.get(key, (0, 0))  # what is not there is empty
            if shown is not None and cells:
                yield from of(pair, key, shown)


def _names(published: Published, dimension: str, there: set[str]) -> Callable[[str], frozenset[str]]:
    """Say which values a published value stands for."""
    listed = published.values[dimension].keys() & there

    def named(value: str) -> frozenset[str]:
        if value in there:
            return frozenset({value})
        ground = value.removeprefix(OTHER).strip()
        unlisted = there - listed
        if not ground:
            return frozenset(unlisted)
        grounds = published.values["GROUND"]
        return frozenset(kind for kind in unlisted if _label(GROUNDS.get(kind, "PUBLIC_CONTENT"), grounds) == ground)

    return named


def _label(ground: str, grounds: Mapping[str, object]) -> str:
    return ground if ground in grounds else OTHER


class Attacker:
    """Hold the unknowns and what is known of their sums."""

    def __init__(self, items: Sequence[Item], facts: Sequence[Fact], slack: int) -> None:
        there = [sorted({item.values[dimension] for item in items}) for dimension in FREE]
        self._cells = [
            (_with_ground(dict(zip(FREE, values, strict=True))), permitted)
            for values in product(*there)
            for permitted in (False, True)
        ]
        known = [self._sum(fact.values, permitted=fact.permitted) for fact in facts]
        possible = np.ones(len(self._cells), dtype=bool)
        for row, fact in zip(known, facts, strict=True):
            if fact.number == 0:
                possible &= row == 0
        self._possible = possible
        self._known = np.array(known)[:, possible]
        numbers = [fact.number for fact in facts]
        self._least = np.array([max(min(SMALL, number), number - slack) for number in numbers], dtype=float)
        self._most = np.array([number + slack if number else 0 for number in numbers], dtype=float)

    def _sum(self, values: Mapping[str, frozenset[str]], *, permitted: bool | None) -> Matrix:
        """Write a sum as a row: True for permitted items, None for others, False for all."""
        return np.array(
            [
                float(
                    all(cell[dimension] in chosen for dimension, chosen in values.items())
                    and (permitted is False or (permitted is None) != is_permitted)
                )
                for cell, is_permitted in self._cells
            ]
        )

    def most(self, target: Matrix) -> float:
        """Find how many items a sum may be, at most, in any world in which all that is published is the same."""
        if not target[self._possible].any():
            return 0
        both = csr_array(np.vstack([self._known, -self._known]))
        found = linprog(
            -target[self._possible], A_ub=both, b_ub=np.concatenate([self._most, -self._least]), bounds=(0, None)
        )
        assert found.status in (0, 3), found.message
        return float("inf") if found.status == 3 else -float(found.fun)

    def solved(self, target: Matrix) -> bool:
        """Tell whether a sum follows from the published ones by elimination alone."""
        wanted = target[self._possible]
        solution, *_ = np.linalg.lstsq(self._known.T, wanted, rcond=None)
        return bool(np.allclose(self._known.T @ solution, wanted, atol=1e-7))

    def recovered(self, items: Sequence[Item], *, eliminate: bool = True) -> list[str]:
        """Name every small count of one or two dimensions that is determined, or certainly small."""
        found = []
        for values, permitted, count in small_counts(items):
            target = self._sum(
                {dimension: frozenset({value}) for dimension, value in values.items()}, permitted=permitted
            )
            if eliminate and self.solved(target):
                found.append(f"{values} {permitted}: {count} is solved")
            elif self.most(target) < SMALL - 1e-6:
                found.append(f"{values} {permitted}: {count} is known to be small")
        return found


class AttackerOfTotals:
    """Hold the numbers of items that fail each set of conditions, and what is known of their sums."""

    def __init__(self, published: PublishedTotal, conditions: int) -> None:
        self._sets = [
            frozenset(chosen) for size in range(conditions + 1) for chosen in combinations(range(conditions), size)
        ]
        rows, numbers = [self.where(lambda _: True)], [published.items]
        for way, shown in (("permitted", [published.permitted]), ("failing", published.failing)):
            rows += [self.row(way, place) for place in range(len(shown))]
            numbers += shown
        for way, shown in (("alone", published.alone), ("left", published.left)):
            rows += [self.row(way, place) for place in range(len(shown))]
            numbers += shown
        known = [(row, number) for row, number in zip(rows, numbers, strict=True) if number is not None]
        self._known = np.array([row for row, _ in known]) if known else np.zeros((0, len(self._sets)))
        self._numbers = np.array([number for _, number in known], dtype=float)

    def where(self, rule: Callable[[frozenset[int]], bool]) -> Matrix:
        """Write a sum of unknowns as a row."""
        return np.array([float(rule(failing)) for failing in self._sets])

    def row(self, way: str, place: int) -> Matrix:
        """Write one of the counts of a condition as a row."""
        rules: dict[str, Callable[[frozenset[int]], bool]] = {
            "permitted": lambda failing: not failing,
            "failing": lambda failing: place in failing,
            "alone": lambda failing: failing == {place},
            "first": lambda failing: bool(failing) and min(failing) == place,
            "left": lambda failing: not any(each <= place for each in failing),
            "not alone": lambda failing: place in failing and len(failing) > 1,
            "others": lambda failing: bool(failing) and place not in failing,
            "fallen before": lambda failing: any(each < place for each in failing) and place not in failing,
            "several": lambda failing: len(failing) > 1,
            "out": bool,
        }
        return self.where(rules[way])

    def recovered(self, items: Sequence[Item], conditions: int) -> list[str]:
        """Name every small count that is certainly small."""
        true = np.array([sum(item.failing == failing for item in items) for failing in self._sets], dtype=float)
        ways = ("permitted", "failing", "alone", "first", "not alone", "others", "fallen before", "several", "out")
        found = []
        for way, place in product(ways, range(conditions)):
            target = self.row(way, place)
            if 0 < target @ true < SMALL:
                answer = linprog(-target, A_eq=self._known, b_eq=self._numbers, bounds=(0, None))
                assert answer.status in (0, 3), answer.message
                if answer.status == 0 and -answer.fun < SMALL - 1e-6:
                    found.append(f"{way} {place}: {target @ true:.0f} is at most {-answer.fun:.0f}")
        return found


def small_counts(items: Sequence[Item]) -> Iterator[tuple[dict[str, str], bool | None, int]]:
    """Find the counts from 1 to 9: of all items, permitted ones (True), others (None)."""
    for size in (0, 1, 2):
        for dimensions in combinations(DIMENSIONS, size):
            tables: dict[bool | None, Counter[tuple[str, ...]]] = {False: Counter(), True: Counter(), None: Counter()}
            for item in items:
                key = tuple(item.values[dimension] for dimension in dimensions)
                tables[False][key] += 1
                tables[None if item.failing else True][key] += 1
            for permitted, table in tables.items():
                for key, count in table.items():
                    if count < SMALL:
                        yield dict(zip(dimensions, key, strict=True)), permitted, count


def _with_ground(values: dict[str, str]) -> dict[str, str]:
    return {**values, "GROUND": GROUNDS.get(values["KIND"], "PUBLIC_CONTENT")}
