"""What is published of counts tells of no single person: attacks, and the sum that bounds every attack."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from math import sqrt
from random import Random
from statistics import fmean, pstdev
from typing import Any

import pytest

from db.coverage import measurement, noise
from db.coverage.measurement import OTHER, Cell, CountedCoverage, Measurement, named_cells
from db.coverage.noise import (
    CONFIDENCE,
    MAX_ITEMS_IN_TABLES,
    MAX_ITEMS_IN_TOTAL,
    PRIVACY_LOSS,
    PUBLICATIONS_IN_30_DAYS,
    SHARES,
    Noise,
    gaussian_noise,
    greatest_advantage,
    noise_deviations,
)
from db.coverage.publication import CountRow, protect_counts
from tests.support.mutants import Killed
from tests.support.publication_attack import (
    ATTACKS,
    CONDITIONS,
    Attacker,
    Item,
    Person,
    Platform,
    added,
    count_persons,
    generated_person,
    judged_by_everyone,
    map_total,
    numbers_of,
)
from tests.support.repository import ROOT

MAX_ADVANTAGE = 0.05
FOUND = 0.2
"""A build in which a person is told so much better than by guessing is broken; 40 trials cannot give it by chance."""


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform(Random(1))


def pooled_advantage(platform: Platform, trials: int) -> float:
    return sum(Attacker(platform, lives, count_persons).advantage(trials) for lives in ATTACKS) / len(ATTACKS)


def test_no_person_is_told_from_two_publications(platform: Platform) -> None:
    assert pooled_advantage(platform, 24) <= MAX_ADVANTAGE + 0.15  # four standard errors of so few trials


@pytest.mark.long
def test_no_person_is_told_with_more_than_the_promised_advantage(platform: Platform) -> None:
    trials = 1_000
    advantages = {lives.name: Attacker(platform, lives, count_persons).advantage(trials) for lives in ATTACKS}
    for name, advantage in advantages.items():
        print(f"{advantage:6.3f}  {name}")
    standard_error = 0.5 / sqrt(trials)  # half of the trials of either life are decided
    assert max(advantages.values()) <= MAX_ADVANTAGE + 3 * standard_error
    assert fmean(advantages.values()) <= MAX_ADVANTAGE


def test_what_bounds_every_attack_is_within_the_promise() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert greatest_advantage(PUBLICATIONS_IN_30_DAYS) <= MAX_ADVANTAGE
    assert greatest_advantage(30) > 3 * MAX_ADVANTAGE, "why it is not published every day"


def test_noise_has_the_deviation_that_it_is_asked_for() -> None:
    draws = [gaussian_noise(100) for _ in range(4_000)]
    assert abs(fmean(draws)) < 8
    assert 94 < pstdev(draws) < 106
    assert len({*draws}) == len(draws)


def test_the_readme_states_the_parameters() -> None:
    readme = (ROOT / "db" / "coverage" / "README.md").read_text(encoding="utf-8")
    deviations = {f"{round(deviation):,}" for deviation in noise_deviations(CONDITIONS, 1).values()}
    advantages = {f"{greatest_advantage(publications):.3f}" for publications in (1, 2, 4, 13)}
    assert {number for number in deviations | advantages if number not in readme} == set()


class Recorded(Measurement):
    """A measurement that lists each number with the deviation of its noise, and adds none."""

    def __init__(self, counted: CountedCoverage) -> None:
        self.listed: list[tuple[float, float]] = []
        super().__init__(counted, lambda _: 0.0)

    def _numbers(self, name: str, exact: Iterable[float]) -> list[float]:
        numbers = list(exact)
        self.listed += [(number, self.deviations[name]) for number in numbers]
        return numbers


def privacy_loss(others: CountedCoverage, one: Person, other: Person, purposes: int = 1) -> float:
    """Return the mu between two lives of a person: how far apart what is measured is, in deviations of its noise.

    For each of the purposes the person changes as much.
    """
    every_value = count_persons([[item] for item in (*one, *other)])
    empty = added(others, _without_items(every_value), {})._replace(purposes=purposes)  # the same cells in both lives
    measured = [Recorded(added(empty, count_persons([life] if life else []), {})).listed for life in (one, other)]
    of_one_purpose = sum(((x - y) / deviation) ** 2 for (x, deviation), (y, _) in zip(*measured, strict=True))
    return sqrt(purposes * of_one_purpose)


def _without_items(counted: CountedCoverage) -> CountedCoverage:
    return counted._replace(
        total=map_total(lambda _: 0.0, counted.total),
        tables={table: dict.fromkeys(cells, (0.0, 0.0)) for table, cells in counted.tables.items()},
    )


def changed_lives() -> Iterator[tuple[Person, Person]]:
    """Yield changes of all that is known of a person, from small ones to the largest."""
    random = Random(2)
    for _ in range(60):
        yield generated_person(random), generated_person(random)
    half = frozenset(range(12))
    there = Item("POST", "FACEBOOK", "LI", "br", "2020-01", half, delivered=True)
    elsewhere = Item("AUDIO", "WHATSAPP", "LU", "mt", "2020-02", frozenset(range(24)) - half, True, True)
    for number in (1, 5, 20, 21, 3_000):
        yield [], [there] * number
        yield [there] * number, [elsewhere] * number
        yield [there] * number, [elsewhere._replace(failing=frozenset())] * number


def test_no_change_of_a_person_moves_what_is_measured_farther_than_the_privacy_loss(platform: Platform) -> None:
    losses = [privacy_loss(platform.counted[0], one, other) for one, other in changed_lives()]
    assert max(losses) <= PRIVACY_LOSS + 1e-9
    assert max(losses) > 0.8 * PRIVACY_LOSS, "the noise is no more than it has to be"


def test_the_purposes_of_a_policy_share_the_privacy_loss(
    platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = list(changed_lives())[-1:]
    losses = [
        privacy_loss(platform.counted[0], one, other, purposes) for one, other in lives for purposes in (1, 2, 3, 9)
    ]
    assert max(losses) <= PRIVACY_LOSS + 1e-9
    assert min(losses) > 0.8 * PRIVACY_LOSS, "the noise is no more than it has to be"
    monkeypatch.setattr(measurement, "noise_deviations", lambda conditions, _: noise_deviations(conditions, 1))
    found = privacy_loss(platform.counted[0], *lives[-1], 2)
    said = f"a loss of {found:.3f}" if found > PRIVACY_LOSS else None
    killed("the whole budget for each purpose", "db/coverage/noise.py", said)


def test_a_share_too_many_and_a_person_without_a_limit_are_noticed(
    platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(number: int) -> float:
        there, elsewhere = Item(country="LI", language="br"), Item(country="LU", language="mt", failing=frozenset({3}))
        return privacy_loss(platform.counted[0], [there] * number, [elsewhere] * number)

    with monkeypatch.context() as broken:
        broken.setattr(noise, "SHARES", {name: 2 * share for name, share in SHARES.items()})
        found = loss(20)
        killed("twice the budget", "db/coverage/noise.py", f"a loss of {found:.3f}" if found > PRIVACY_LOSS else None)
    with monkeypatch.context() as broken:
        broken.setitem(globals(), "count_persons", partial(count_persons, in_tables=10**9))
        found = loss(20)
        name = "tables without a limit per person"
        killed(name, "db/sql/coverage.sql", f"a loss of {found:.3f}" if found > PRIVACY_LOSS else None)


def attack(platform: Platform, name: str, trials: int = 40, **given: Any) -> float:
    (lives,) = (lives for lives in ATTACKS if lives.name.startswith(name))
    return Attacker(platform, lives, given.pop("count", count_persons)).advantage(trials, **given)


def found_by_attack(advantage: float) -> str | None:
    return f"an advantage of {advantage:.2f}" if advantage >= FOUND else None


def no_noise(_: int) -> Noise:
    return lambda _: 0.0


def width_of_interval(platform: Platform, persons: int, trials: int = 1_000) -> float:
    """Return how many persons wide the interval is in which the best estimate of a count of so many lies, 95 in 100.

    Everything else is known, and two publications are read: each measured number is weighed by what a person adds.
    """
    person = [Item(language="mt", country="LI", kind="AUDIO")] * MAX_ITEMS_IN_TOTAL
    others = platform.counted[0]
    measured = [Recorded(added(others, count_persons([person] * n), {})).listed for n in (0, 1, persons)]
    effects = [
        ((one - none) / deviation, (many - none) / deviation)
        for (none, deviation), (one, _), (many, _) in zip(*measured, strict=True)
        if one != none
    ] * PUBLICATIONS_IN_30_DAYS
    whole = sum(effect**2 for effect, _ in effects)
    random = Random(persons)
    found = sorted(
        sum(effect * (signal + random.gauss(0, 1)) for effect, signal in effects) / whole for _ in range(trials)
    )
    width: float = found[int(0.975 * trials)] - found[int(0.025 * trials)]
    return width


def test_no_count_of_few_persons_is_told_to_within_ten(
    platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert min(width_of_interval(platform, persons) for persons in (1, 5, 9)) >= 10
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 3 * PRIVACY_LOSS)
    found = width_of_interval(platform, 9)
    said = f"within {found:.1f} persons" if found < 10 else None
    killed("a third of the noise: nine persons are counted", "db/coverage/noise.py", said)


class TestBrokenBuilds:
    """Builds that break one thing each, as attacks notice."""

    def test_without_noise_every_attack_finds_its_person(self, platform: Platform, killed: Killed) -> None:
        for lives in ATTACKS[:-2]:  # what hides a post changes too little of all others' items, even without noise
            advantage = Attacker(platform, lives, count_persons).advantage(4, no_noise)
            killed(f"no noise, {lives.name[:2]}", "db/coverage/noise.py", found_by_attack(advantage))

    def test_noise_that_comes_again_is_subtracted(self, platform: Platform, killed: Killed) -> None:
        again = iter(range(10**6))

        def repeated(_: int) -> Noise:
            random = Random(next(again) // 2)  # the second publication has the seed of the first
            return lambda deviation: random.gauss(0, deviation)

        quiet = Platform(Random(1))
        quiet.counted[1] = quiet.counted[0]
        killed(
            "the same noise every month", "db/coverage/noise.py", found_by_attack(attack(quiet, "C1", noise=repeated))
        )

    def test_noise_that_follows_from_the_persons_shows_who_stayed(
        self, platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quiet = Platform(Random(1))
        quiet.counted[1] = quiet.counted[0]

        def of_cell_key(self: Measurement, name: str, exact: Iterable[float]) -> list[float]:
            keyed = [(number, Random(f"{secret} {name} {number:.6f}")) for number in exact]
            return [number + random.gauss(0, self.deviations[name]) for number, random in keyed]

        secret = "of the gateway"
        monkeypatch.setattr(Measurement, "_numbers", of_cell_key)
        killed("cell keys", "db/coverage/measurement.py", found_by_attack(attack(quiet, "C1")))

    def test_a_person_without_a_limit_is_seen(self, platform: Platform, killed: Killed) -> None:
        unlimited = partial(count_persons, in_total=10**9, in_tables=10**9)
        advantage = attack(platform, "a person with five hundred", count=unlimited)
        killed("no limit per person", "db/sql/coverage.sql", found_by_attack(advantage))

    def test_items_of_others_tell_a_person(self, platform: Platform, killed: Killed) -> None:
        judged = partial(count_persons, judged_by=judged_by_everyone)
        advantage = attack(platform, "a person hides a post below", count=judged)
        killed("items judged by others' data", "db/sql/coverage.sql", found_by_attack(advantage))

    def test_deliveries_of_others_tell_a_person(self, platform: Platform, killed: Killed) -> None:
        everything = partial(count_persons, deliveries_of=lambda _: True)
        advantage = attack(
            platform, "a person hides a post before", trials=120, count=everything
        )  # 0.34; of 40 often 0.1
        killed("deliveries of items that others can exclude", "db/sql/coverage.sql", found_by_attack(advantage))

    def test_names_of_all_values_tell_a_person(
        self, platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measurement, "named_cells", lambda measured, _before: dict(sorted(measured.items())))
        killed("every value is named", "db/coverage/measurement.py", found_by_attack(attack(platform, "C7")))

    def test_cells_that_are_listed_only_where_there_is_something_tell_a_person(
        self, platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = Measurement._pair

        def only_full(self: Measurement, pair: Any, exact: Any) -> dict[Any, Cell]:
            columns = [self.values[name] for name in pair]
            full = {tuple(v if v in named else OTHER for named, v in zip(columns, key, strict=True)) for key in exact}
            return {key: cell for key, cell in whole(self, pair, exact).items() if key in full}

        monkeypatch.setattr(Measurement, "_pair", only_full)
        killed("empty cells are left out", "db/coverage/measurement.py", found_by_attack(attack(platform, "C7")))

    def test_too_little_noise_is_seen(
        self, platform: Platform, killed: Killed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(noise, "PRIVACY_LOSS", 40 * PRIVACY_LOSS)
        killed("a fortieth of the noise", "db/coverage/noise.py", found_by_attack(attack(platform, "C1")))


def test_a_count_is_as_far_from_the_truth_as_its_margin_says(platform: Platform) -> None:
    counted = platform.counted[0]._replace(tables=platform.counted[0].tables)
    truth = numbers_of([protect_counts(counted, lambda _: 0.0)])
    within: list[bool] = []
    for _ in range(30):
        published = protect_counts(counted, gaussian_noise)
        rows = {(table, row.key): row for table, listed in published.items() for row in listed}
        within += [
            abs(number - truth[place]) <= rows[place[1], place[2]].margin
            for place, number in numbers_of([published]).items()
            if place in truth and place[3] == "items"
        ]
    assert len(within) > 500
    assert CONFIDENCE - 0.05 < sum(within) / len(within) < 1


def test_deliveries_are_estimated_from_the_items_that_stand_alone(platform: Platform) -> None:
    counted = platform.counted[0]
    of_photos = protect_counts(count_persons([[Item("PHOTO", delivered=True)] for _ in range(30_000)]))[""][0]
    assert (of_photos.delivered, of_photos.retracted) == (None, None), "no item stands alone"
    within = []
    (truth,) = protect_counts(counted, lambda _: 0.0)[""]
    assert truth.delivered
    assert truth.retracted
    assert truth.delivered > truth.retracted > 0
    for _ in range(60):
        (row,) = protect_counts(counted)[""]
        assert row.delivered is not None
        assert row.retracted is not None
        within += [
            abs(row.delivered - truth.delivered) <= row.margin,
            abs(row.retracted - truth.retracted) <= row.margin,
        ]
    assert sum(within) / len(within) > CONFIDENCE - 0.05


def test_what_is_published_agrees_with_itself(platform: Platform) -> None:
    published = protect_counts(platform.counted[0])
    (total,) = published[""]
    assert total.items is not None
    for row in (row for rows in published.values() for row in rows):
        assert (row.items is None) == (row.permitted is None)
        assert (row.items or 0) >= (row.permitted or 0) >= 0
        assert (row.margin > 0) == (row.items is not None)
    assert {number % 10 for number in numbers_of([published]).values()} == {0}
    assert all(before >= after for before, after in pairwise([total.items, *map(int, total.left)]))  # type: ignore[arg-type]
    assert total.left[-1] == total.permitted
    kinds = [row.key[0] for row in published["KIND"]]
    assert {row.key for row in published["KIND,COUNTRY"]} == {
        (kind, row.key[0]) for kind in kinds for row in published["COUNTRY"]
    }, "cells with nothing in them are listed like those with little"


def test_of_few_persons_nothing_is_published() -> None:
    for persons in ([], [[Item()] * 12], [generated_person(Random(n)) for n in range(200)]):
        published = protect_counts(count_persons(persons), gaussian_noise)
        total: CountRow = published.pop("")[0]
        assert (total.items, total.permitted, total.delivered, set(total.left)) == (None, None, None, {None})
        assert not any(published.values())


def test_a_value_keeps_its_name_until_little_is_left_of_it() -> None:
    deviation = noise_deviations(CONDITIONS, 1)["LANGUAGE"] * sqrt(2)
    measured = {
        name: Cell(times * deviation, 0, deviation / sqrt(2)) for name, times in (("de", 6.1), ("mt", 5), ("lv", 3.9))
    }
    assert [*named_cells(measured, ())] == ["de"]
    assert [*named_cells(measured, ("mt", "lv"))] == ["de", "mt"]
    assert not named_cells({OTHER: measured["de"]}, (OTHER,)), "a value that is called like the rest is part of it"
    assert 3.9 * deviation > 50 * MAX_ITEMS_IN_TABLES, "of what is named, many persons have a part"
