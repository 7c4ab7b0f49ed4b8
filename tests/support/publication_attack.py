"""An attacker who knows everything but one person: the code, everyone else's items, and all that is published.

A platform is a list of persons with their items. It is published twice, a month apart; the attacker is to tell in which
of two lives it was, which differ in one person. What it can do better than guessing is its advantage.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import add
from random import Random
from typing import Any, NamedTuple

import pytest

from db.coverage import publication
from db.coverage.measurement import KINDS, MEASURED_PAIRS, OPEN_DIMENSIONS, CountedCoverage, CountedTotal, Key, Layers
from db.coverage.noise import MAX_ITEMS_BELOW, MAX_ITEMS_IN_TABLES, MAX_ITEMS_IN_TOTAL, Noise
from db.coverage.publication import CountRow, protect_counts
from db.coverage.snapshot import CONDITION_CODES

OBJECTED, HELD, OUTSIDE, BELOW, DELETED = (
    frozenset({CONDITION_CODES.index(code)})
    for code in (
        *("NO_ACTIVE_OBJECTION", "NO_REGULATORY_HOLD", "REGION_COVERED"),
        *("AUDIENCE_PUBLIC", "CONTENT_LIVE"),
    )
)
RARE: Sequence[dict[str, Any]] = (
    {"country": "LI"},
    {"language": "br"},
    {"language": "mt"},
    {"country": "LU", "failing": OUTSIDE},
    {"country": "PT", "language": "de"},
)
DIMENSIONS = ("KIND", *OPEN_DIMENSIONS)
COUNTED_TABLES: Sequence[Key] = (*((name,) for name in DIMENSIONS), *MEASURED_PAIRS)
GROUNDS = {kind: "AI_INTERACTION" if kind == "AI_INTERACTION" else "PUBLIC_CONTENT" for kind in KINDS}
CONDITIONS = len(CONDITION_CODES)


class Item(NamedTuple):
    """The counted values of an item. `failing` are the indexes of conditions."""

    kind: str = "POST"
    product: str = "FACEBOOK"
    country: str = "IE"
    language: str = "en"
    month: str = "2026-01"
    failing: frozenset[int] = frozenset()
    delivered: bool = False
    retracted: bool = False
    above: str | None = None  # the person whose item above it excludes it, if nothing else does

    @property
    def stands_alone(self) -> bool:
        """Return whether data about its author alone decide whether it is delivered."""
        return self.above is None and self.kind not in ("COMMENT", "CAPTION", "PHOTO", "VIDEO", "AUDIO")

    def value(self, dimension: str) -> str:
        """Return its value in a dimension."""
        found: str = getattr(self, dimension.lower())
        return found


Person = Sequence[Item]
Published = Mapping[str, Sequence[CountRow]]
Numbers = dict[tuple[Any, ...], int]
Count = Callable[[Iterable[Person]], CountedCoverage]


class Lives(NamedTuple):
    """Two lives of one person at two publications: as it is, and as it would be otherwise.

    `dependent` are items of as many other persons in both lives, at the second publication: what this person did
    excludes them in the other life, before they are delivered.
    """

    name: str
    one: tuple[Person, Person]
    other: tuple[Person, Person]
    dependent: Person = ()

    def counted(self, count: Count) -> list[list[CountedCoverage]]:
        """Count what differs, in either life, at each publication."""
        below = [[item._replace(above=None)] for item in self.dependent]
        without = [[item._replace(delivered=False)] for item in self.dependent]
        return [
            [count([*([life[0]] if life[0] else []), *below]), count([*([life[1]] if life[1] else []), *last])]
            for life, last in ((self.one, below), (self.other, without))
        ]


def generated_person(random: Random) -> list[Item]:
    """Make up a person: most have few items, all in one country, and some fail conditions."""
    country = random.choices(("IE", "DE", "AT", "PT", "US"), (40, 30, 15, 10, 5))[0]
    spoken = {"DE": "de", "AT": "de", "PT": "pt"}.get(country, "en")
    refused = (OBJECTED if random.random() < 0.1 else frozenset()) | (OUTSIDE if country == "US" else frozenset())
    return [
        Item(
            random.choices(("POST", "PHOTO", "COMMENT", "AI_INTERACTION"), (50, 25, 15, 10))[0],
            random.choices(("FACEBOOK", "INSTAGRAM"), (70, 30))[0],
            country,
            spoken if random.random() < 0.9 else "en",
            f"2026-0{random.choice((1, 1, 1, 2, 2, 3))}",
            refused | frozenset(place for place in range(4) if random.random() < 0.1),
            delivered := random.random() < 0.3,
            delivered and random.random() < 0.1,
            f"person {random.randrange(200)}" if random.random() < 0.05 else None,
        )
        for _ in range(1 + int(30 * random.random() ** 6) + random.randrange(8))
    ]


DAYS = 30
NEW_VALUES: Sequence[dict[str, Any]] = ({"language": "ga"}, {"country": "IS", "language": "is"}, {"kind": "VIDEO"})


def days_of_life(random: Random, persons: Sequence[Person], days: int = DAYS) -> list[Person]:
    """Let days pass on which persons object, withdraw, delete, post, move and come, accounts are held, items are
    delivered and retracted, values come that there were not, and an attacker posts once a day in a rare language."""
    living = [list(person) for person in persons]
    posted: list[Item] = []
    for _ in range(days):
        for _ in range(max(1, len(persons) // 20)):
            person = random.randrange(len(living))
            living[person] = _after_a_day(random, living[person])
        living += [generated_person(random) for _ in range(max(1, len(persons) // 1500))]
        if random.random() < 0.2:
            living.append([generated_person(random)[0]._replace(**random.choice(NEW_VALUES))])
        posted.append(Item(language="br", failing=BELOW))
    return [*living, posted]


def _after_a_day(random: Random, items: list[Item]) -> list[Item]:
    lot = random.random()
    if lot < 0.1:
        return [item._replace(failing=item.failing ^ OBJECTED, retracted=item.delivered) for item in items]
    if lot < 0.12:
        return [item._replace(failing=item.failing | HELD) for item in items]
    if lot < 0.2:
        return [items[0]._replace(failing=items[0].failing | DELETED), *items[1:]] if items else items
    if lot < 0.23:
        return [item._replace(country="AT", language="de") for item in items]
    if lot < 0.5:
        return [item._replace(delivered=item.delivered or not item.failing) for item in items]
    return [*items, generated_person(random)[0]]


def count_persons(
    persons: Iterable[Person],
    named: Mapping[str, Sequence[str]] | None = None,
    in_total: int = MAX_ITEMS_IN_TOTAL,
    in_tables: int = MAX_ITEMS_IN_TABLES,
    below: int = MAX_ITEMS_BELOW,
    judged_by: Callable[[Item], Item] = lambda item: item,
    deliveries_of: Callable[[Item], bool] = lambda item: item.stands_alone,
) -> CountedCoverage:
    """Count a platform as the database does; a person's items count in parts of one where there are too many."""
    total: dict[str, float] = defaultdict(float)
    deliveries = [0.0] * 4
    by_condition: dict[str, list[float]] = {name: [0.0] * CONDITIONS for name in ("failing", "alone", "first")}
    tables: dict[Key, dict[Key, Layers]] = {table: defaultdict(lambda: (0.0, 0.0)) for table in COUNTED_TABLES}
    excluded: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for person in persons:
        whole, part = (min(1.0, cap / max(1, len(person))) for cap in (in_total, in_tables))
        for item in map(judged_by, person):
            total["others" if item.failing else "permitted"] += whole
            total["in_tables"] += part
            delivery = 2 if item.retracted and item.failing else 0 if item.delivered else 3 if item.failing else 1
            deliveries[delivery] += whole * deliveries_of(item)
            for place in item.failing:
                by_condition["failing"][place] += whole
                by_condition["alone"][place] += whole * (len(item.failing) == 1)
                by_condition["first"][place] += whole * (place == min(item.failing))
            if item.above is not None and not item.failing:
                excluded[item.above][item.kind] += part
            for table, cells in tables.items():
                key = tuple(map(item.value, table))
                permitted, others = cells[key]
                cells[key] = (permitted, others + part) if item.failing else (permitted + part, others)
    counts: list[Any] = [*(total[name] for name in ("permitted", "others", "in_tables")), deliveries]
    counts += by_condition.values()
    return CountedCoverage(
        CountedTotal(*counts), tables, capped_below(excluded.values(), below), GROUNDS, named or {}, purposes=1
    )


def judged_by_everyone(item: Item) -> Item:
    """Judge an item by other persons' data too, as published counts must not."""
    return item if item.above is None else item._replace(failing=item.failing | BELOW)


def capped_below(excluded: Iterable[Mapping[str, float]], at_most: float) -> dict[str, float]:
    """Count by kind the items that other items exclude: of each person who wrote such items, so many at most."""
    below: dict[str, float] = defaultdict(float)
    for by_kind in excluded:
        for kind, items in by_kind.items():
            below[kind] += items * min(1.0, at_most / sum(by_kind.values()))
    return below


def map_total(change: Callable[..., float], *totals: CountedTotal) -> CountedTotal:
    """Apply a function to each number of some totals."""
    numbers: list[Any] = [
        [change(*each) for each in zip(*counts, strict=True)] if isinstance(counts[0], list) else change(*counts)
        for counts in zip(*totals, strict=True)
    ]
    return CountedTotal(*numbers)


def added(one: CountedCoverage, other: CountedCoverage, named: Mapping[str, Sequence[str]]) -> CountedCoverage:
    """Add what was counted of persons to what was counted of others."""
    tables: dict[Key, dict[Key, Layers]] = {}
    for table in COUNTED_TABLES:
        tables[table] = {**one.tables[table]}
        for key, (permitted, others) in other.tables[table].items():
            before = tables[table].get(key, (0, 0))
            tables[table][key] = before[0] + permitted, before[1] + others
    below = {kind: one.below.get(kind, 0.0) + other.below.get(kind, 0.0) for kind in {*one.below, *other.below}}
    return CountedCoverage(map_total(add, one.total, other.total), tables, below, GROUNDS, named, one.purposes)


def _times(counted: CountedCoverage, alike: int) -> CountedCoverage:
    tables = {
        table: {key: (alike * permitted, alike * others) for key, (permitted, others) in cells.items()}
        for table, cells in counted.tables.items()
    }
    below = {kind: alike * items for kind, items in counted.below.items()}
    return counted._replace(total=map_total(lambda n: alike * n, counted.total), tables=tables, below=below)


def published_names(published: Published) -> dict[str, list[str]]:
    """Return the values that a publication names, as the next one is told."""
    return {name: [row.key[0] for row in published[name]] for name in OPEN_DIMENSIONS}


def numbers_of(published: Iterable[Published]) -> Numbers:
    """List every published number of several publications by where it stands; what is suppressed is not there."""
    found: Numbers = {}
    for release, tables in enumerate(published):
        for table, rows in tables.items():
            for row in rows:
                for field in ("items", "permitted", "delivered", "retracted"):
                    number = getattr(row, field)
                    if number is not None:
                        found[release, table, row.key, field] = number
                if row.items is not None and row.permitted is not None:
                    found[release, table, row.key, "others"] = row.items - row.permitted
                for field in ("failing", "alone", "left"):
                    numbers = enumerate(getattr(row, field))
                    found |= {(release, table, row.key, field, i): each for i, each in numbers if each is not None}
    return found


class Platform:
    """Everyone else's items at some publications, which the attacker knows.

    As large as a real one: each person that is made up stands for many. Of each value that an attack is about there are
    as many items as it takes to be named, or almost: there a person tips the balance most often.
    """

    def __init__(self, random: Random, persons: int = 400, alike: int = 250, releases: int = 2) -> None:
        life: list[Sequence[Person]] = [[generated_person(random) for _ in range(persons)]]
        for _ in range(releases - 1):
            life.append(days_of_life(random, life[-1]))
        rare = [_posts(5, **values) for values in RARE]
        self.counted = [
            added(_times(count_persons(each), alike), _times(count_persons(rare), 280), {}) for each in life
        ]

    def publish(self, target: Sequence[CountedCoverage], noise: Callable[[int], Noise]) -> list[Published]:
        """Publish them with one person more, each publication with the noise of its number."""
        published: list[Published] = []
        for release, (others, person) in enumerate(zip(self.counted, target, strict=True)):
            named = published_names(published[-1]) if published else {}
            published.append(protect_counts(added(others, person, named), noise(release)))
        return published


def seeded_noise(seed: str) -> Callable[[int], Noise]:
    """Return noise as `gaussian_noise` draws it, but the same in every run, and faster."""
    random = Random(seed)
    return lambda _: lambda deviation: random.gauss(0, deviation)


class Attacker:
    """An attacker who is to tell two lives of one person apart.

    It weighs each published number by what the person would change in it (the likelihood ratio of Gaussian noise), in
    the sums of both layers or in each layer, the same of what changed between publications, and counts rows of each
    table, numbers shown, and numbers that stayed.
    """

    def __init__(self, platform: Platform, lives: Lives, count: Count) -> None:
        self._platform, self._name = platform, lives.name
        self._counted = lives.counted(count)
        with pytest.MonkeyPatch.context() as unrounded:
            unrounded.setattr(publication, "ROUNDING_BASE", 1)
            exact = [numbers_of(platform.publish(life, lambda _: lambda _: 0.0)) for life in self._counted]
        self._expected = exact[0]
        self._effect = {place: exact[1][place] - number for place, number in exact[0].items() if place in exact[1]}

    def advantage(self, trials: int, noise: Callable[[int], Noise] | None = None) -> float:
        """Return by how much it is better than guessing: half of the trials choose its test, the others count."""
        noise = noise or seeded_noise(self._name)
        scores = [[self._scores(self._platform.publish(life, noise)) for _ in range(trials)] for life in self._counted]
        half = trials // 2
        best = 0.0
        chosen = (0, 0.0, 1)
        for way in range(len(scores[0][0])):
            ordered = sorted({each[way] for each in chain(scores[0][:half], scores[1][:half])})
            for threshold in ordered[:: max(1, len(ordered) // 50)]:
                for sign in (1, -1):
                    found = _accuracy([each[:half] for each in scores], way, threshold, sign)
                    if found > best:
                        best, chosen = found, (way, threshold, sign)
        return _accuracy([each[half:] for each in scores], *chosen) - 0.5

    def _scores(self, published: Sequence[Published]) -> list[float]:
        numbers = numbers_of(published)
        margins = _margins_of(published)
        weight = {place: effect / margins[place] ** 2 for place, effect in self._effect.items() if place in numbers}
        by_layer = {place: numbers[place] - self._expected[place] for place in weight}
        items = {place: by_layer.pop(place) for place in weight if place[3] == "items"}
        last = len(published) - 1
        return [
            *(sum(weight[place] * number for place, number in off.items()) for off in (by_layer, items)),
            *(
                sum(weight[place] * (n - off.get((0, *place[1:]), 0)) for place, n in off.items() if place[0] == last)
                for off in (by_layer, items)
            ),
            *(sum(len(tables[name]) for tables in published) for name in published[0]),
            len(numbers),
            sum(numbers.get((last, *place[1:])) == number for place, number in numbers.items() if place[0] == 0),
        ]


def _margins_of(published: Iterable[Published]) -> Numbers:
    """List how far each published number can be off, by where it stands."""
    found: Numbers = {}
    for release, tables in enumerate(published):
        for table, rows in tables.items():
            for row in rows:
                for field in ("items", "permitted", "delivered", "retracted", "others"):
                    found[release, table, row.key, field] = max(1, row.margin)
        (total,) = tables[""]
        margins = {"failing": total.exclusion_margin, "alone": total.exclusion_margin, "left": total.step_margin}
        for field, margin in margins.items():
            found |= {(release, "", (), field, place): max(1, margin) for place in range(CONDITIONS)}
    return found


def _accuracy(scores: Sequence[Sequence[Sequence[float]]], way: int, threshold: float, sign: int) -> float:
    one, other = ([sign * each[way] > sign * threshold for each in of_life] for of_life in scores)
    return (1 - sum(one) / len(one) + sum(other) / len(other)) / 2


def _posts(number: int, **values: Any) -> list[Item]:
    return [Item(**values)] * number


ATTACKS = (
    Lives(
        "C1: a person with twelve posts in Liechtenstein objects",
        (_posts(12, country="LI"), _posts(12, country="LI")),
        (_posts(12, country="LI"), _posts(12, country="LI", failing=OBJECTED)),
    ),
    Lives(
        "C2: an account is held, and a delivered item is retracted",
        (_posts(2, delivered=True), _posts(2, delivered=True)),
        (_posts(2, delivered=True), _posts(2, delivered=True, retracted=True, failing=HELD)),
    ),
    Lives(
        "C3: the first item of a value qualifies",
        (_posts(5, language="mt", failing=OBJECTED), _posts(5, language="mt", failing=OBJECTED)),
        (_posts(5, language="mt", failing=OBJECTED), _posts(5, language="mt")),
    ),
    Lives("C4: a person posts in Breton", (_posts(1), _posts(1)), (_posts(5, language="br"), _posts(5, language="br"))),
    Lives(
        "C5: a person outside the region comes",
        ((), ()),
        (_posts(7, country="LU", failing=OUTSIDE), _posts(7, country="LU", failing=OUTSIDE)),
    ),
    Lives("C6: a person stands alone in a cell", ((), ()), (_posts(9, country="PT", language="de"),) * 2),
    Lives("C7: a person does what nobody else can", ((), ()), (_posts(5, kind="AUDIO", product="WHATSAPP"),) * 2),
    Lives("a person with five hundred items deletes all", (_posts(500),) * 2, (_posts(500), ())),
    Lives(
        "a person hides a post below which a thousand others commented",
        (_posts(1),) * 2,
        (_posts(1), _posts(1, failing=BELOW)),
        [Item(kind="COMMENT", country=country, above="this person") for country in ("IE", "DE") for _ in range(500)],
    ),
    Lives(
        "a person hides a post before three thousand comments and captions of others are delivered",
        (_posts(1),) * 2,
        (_posts(1, failing=BELOW),) * 2,
        [Item(kind, above="this person", delivered=True) for kind in ("COMMENT", "CAPTION") for _ in range(1_500)],
    ),
)
