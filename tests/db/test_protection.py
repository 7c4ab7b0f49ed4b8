"""What is published of counts singles nobody out: an attacker with all of it, unrounded even, learns no small count."""

from collections.abc import Mapping
from itertools import combinations
from random import Random

import pytest

from db import protection, suppression
from db.protection import DIMENSIONS, Published, PublishedTotal, Total, protect, protected_total
from db.suppression import Layers, Pair, safe
from tests.attack import Attacker, AttackerOfTotals, Fact, Item, counted, facts_of, generated_items

WORLDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(10, 24))]


@pytest.fixture
def unrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish the numbers as they are: rounding hides more, and nothing depends on it."""
    monkeypatch.setattr(protection, "rounded", lambda count: count)


def recovered(items: list[Item]) -> list[str]:
    published = protect(*counted(items))
    facts: list[Fact] = list(facts_of(published, items))
    if not facts:
        return []
    return Attacker(items, facts, slack=0).recovered(items)


@pytest.mark.parametrize("seed", WORLDS)
@pytest.mark.usefixtures("unrounded")
def test_no_small_count_can_be_solved_or_bounded(seed: int) -> None:
    assert recovered(generated_items(Random(seed))) == []


def recovered_of_all(items: list[Item]) -> list[str]:
    total, *_ = counted(items)
    return AttackerOfTotals(protected_total(total), len(total.failing)).recovered(items, len(total.failing))


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.usefixtures("unrounded")
def test_no_small_count_of_all_items_can_be_bounded(seed: int) -> None:
    assert recovered_of_all(generated_items(Random(seed))) == []


@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_a_measure_that_is_suppressed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def each_alone(total: Total) -> PublishedTotal:
        def shown(counts: tuple[int, ...]) -> tuple[int | None, ...]:
            return tuple(count if safe(count) else None for count in counts)

        left = tuple(total.items - sum(total.first[: place + 1]) for place in range(len(total.first)))
        everything, permitted, delivered, retracted = shown(total[:4])
        return PublishedTotal(
            everything, permitted, delivered, retracted, shown(total.failing), shown(total.alone), left
        )

    monkeypatch.setitem(globals(), "protected_total", each_alone)
    assert [found for seed in range(20) for found in recovered_of_all(generated_items(Random(seed)))]


def found_by(seeds: range) -> list[str]:
    return [found for seed in seeds for found in recovered(generated_items(Random(seed)))]


@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_suppression_of_small_cells_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def primary(table: Mapping[Pair, Layers]) -> frozenset[Pair]:
        return frozenset(cell for cell, layers in table.items() if not all(map(safe, layers)))

    monkeypatch.setattr(protection, "suppressed_cells", primary)
    assert any("is solved" in each for each in found_by(range(4)))


@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_pairs_of_cells_that_hold_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression._Hidden, "raises", lambda hidden, _counts, cell, _need: hidden.in_a_rectangle(cell))
    monkeypatch.setattr(suppression._Hidden, "in_a_rectangle", _in_a_rectangle, raising=False)
    assert any("known to be small" in each for each in found_by(range(13, 14)))


@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_items_suppressed_without_regard_to_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_items(table: Mapping[Pair, Layers]) -> frozenset[Pair]:
        return suppression.suppressed_cells({cell: (sum(layers),) for cell, layers in table.items()})

    monkeypatch.setattr(protection, "suppressed_cells", of_items)
    assert found_by(range(4))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_rare_values_that_are_left_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def rare(table: Mapping[str, Layers]) -> frozenset[str]:
        return frozenset(value for value, layers in table.items() if not all(map(safe, layers)))

    monkeypatch.setattr(protection, "rare_values", rare)
    assert found_by(range(8))


def linked_items() -> list[Item]:
    """Make a platform in which a month is what is in FACEBOOK and English, and nothing is in neither.

    Where country by product and country by language are known, so is how much of a country is in that month.
    """
    sizes = {("IE", 0, 0): 20, ("IE", 0, 1): 30, ("IE", 1, 0): 30, ("AT", 0, 0): 5, ("AT", 0, 1): 10, ("AT", 1, 0): 10}
    return [
        Item("POST", ("FACEBOOK", "INSTAGRAM")[p], country, ("en", "de")[g], "2026-02" if p or g else "2026-01")
        for (country, p, g), size in sizes.items()
        for _ in range(size)
    ]


@pytest.mark.usefixtures("unrounded")
def test_no_small_count_can_be_told_from_several_tables_together() -> None:
    assert recovered(linked_items()) == []


@pytest.mark.usefixtures("unrounded")
def test_an_attack_sees_through_tables_that_are_protected_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "JOINS", tuple(combinations(DIMENSIONS[:-1], 2)))
    assert "{'COUNTRY': 'AT', 'MONTH': '2026-01'} True: 5 is known to be small" in recovered(linked_items())


def _in_a_rectangle(hidden: suppression._Hidden, cell: Pair) -> bool:
    row, column = cell
    return any((row, other[1]) in hidden.cells and (other[0], column) in hidden.cells for other in hidden.cells
               if other[0] != row and other[1] != column)  # fmt: skip


def remainders(items: list[Item]) -> set[int]:
    published: Published = protect(*counted(items))
    numbers = [number for table in published.values.values() for counts in table.values() for number in counts]
    numbers += [number for cells in published.pairs.values() for counts in cells.values() for number in counts or ()]
    numbers += [*published.total[:2], *published.total.failing, *published.total.left]
    assert len(numbers) > 20
    return {number % 5 for number in numbers if number is not None}


def test_every_published_number_is_a_multiple_of_five() -> None:
    assert remainders(generated_items(Random(3))) == {0}


@pytest.mark.usefixtures("unrounded")
def test_a_number_that_is_not_rounded_is_seen() -> None:
    assert remainders(generated_items(Random(3))) > {0}
