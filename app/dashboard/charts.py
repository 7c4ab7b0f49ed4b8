"""Where the marks of a chart stand: geometry alone, in units of its view box. Templates write the SVG, CSS the colours.

A chart is drawn from a table's numbers and never says more than they do: its text is the table's.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1140
TOP: Final = 24
FLOOR: Final = 250
LETTERS: Final = 6.2
SMALL: Final = 0.02
MOST_STEPS: Final = 14
LEVELS: Final = 7
MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a step of a way down: its conditions in words, and how many are left after it; None is withheld."""

    names: tuple[str, ...]
    left: int | None

    @property
    def label(self) -> str:
        """Name it."""
        return self.names[0] if len(self.names) == 1 else f"{len(self.names)} smaller ones"


@dataclass(frozen=True, slots=True)
class Bar:
    """Hold a bar, the text above it and the lines under it; `joint` is where the next one begins."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    number: str
    lines: list[str]
    joint: float | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Hold a way down that reads from left to right; `gap` lies between two bars."""

    bars: list[Bar]
    gap: float


def waterfall(start: int, way: Sequence[Step], first: str, last: str) -> Waterfall:
    """Draw how `start` becomes what is left at the end; steps that take next to nothing stand together."""
    steps = together(start, way)
    pitch = WIDTH / (len(steps) + 2)
    width = pitch * 0.72
    scale = (FLOOR - TOP) / max(start, 1)

    def bar(place: int, kind: str, top: int, bottom: int, number: str, name: str) -> Bar:
        y, height = FLOOR - top * scale, max((top - bottom) * scale, 1.0)
        joint = None if kind == "last" else FLOOR - (top if kind == "first" else bottom) * scale
        lines = textwrap.wrap(name, max(6, int(pitch / LETTERS)), break_long_words=False)
        x, broad, rise = round(place * pitch, 1), round(width, 1), round(height, 1)
        return Bar(kind, x, round(y, 1), broad, rise, number, lines, joint)

    bars = [bar(0, "first", start, 0, f"{start:,}", first)]
    left = start
    for place, step in enumerate(steps, 1):
        assert step.left is not None, "steps that are withheld stand with the next"
        lost = left - step.left
        bars.append(bar(place, "lost", left, step.left, f"{MINUS}{lost:,}", step.label))
        left = step.left
    bars.append(bar(len(steps) + 1, "last", left, 0, f"{left:,}", last))
    return Waterfall(bars, gap=round(pitch - width, 1))


def columns(numbers: Sequence[tuple[str, int]]) -> list[Bar]:
    """Draw numbers as columns, in their order; the highest one fills the height."""
    pitch = WIDTH / max(len(numbers), 1)
    scale = (FLOOR - TOP) / max(*(number for _, number in numbers), 1)
    return [
        Bar(
            kind="lost",
            x=round(place * pitch, 1),
            y=round(FLOOR - number * scale, 1),
            width=round(pitch * 0.72, 1),
            height=round(number * scale, 1),
            number=f"{number:,}",
            lines=[name],
            joint=None,
        )
        for place, (name, number) in enumerate(numbers)
    ]


def together(start: int, way: Sequence[Step]) -> list[Step]:
    """Join neighbours that take little each, or whose number is withheld, and leave out those that take nothing."""
    small = start * SMALL
    while True:
        joined = _joined(start, way, small)
        if len(joined) <= MOST_STEPS:
            return joined
        small = small * 1.5 + 1


def _joined(start: int, way: Sequence[Step], small: float) -> list[Step]:
    steps: list[Step] = []
    waiting: list[str] = []
    before = end = start
    for step in way:
        if step.left is None:
            waiting += step.names
            continue
        lost = end - step.left
        if lost > small and end < before:
            steps.append(Step(tuple(waiting), end))
            waiting, before = [], end
        if lost:
            waiting += step.names
        end = step.left
        if lost > small:
            steps.append(Step(tuple(waiting), end))
            waiting, before = [], end
    if end < before:
        steps.append(Step(tuple(waiting), end))
    return steps


def level(share: float | None, most: float) -> int | None:
    """Give the shade of a share, 0 to 6, on a scale from 0 to the greatest share shown."""
    if share is None:
        return None
    return min(LEVELS - 1, int(share / most * LEVELS)) if most else 0


def length(number: int | None, most: int | None) -> float:
    """Give the length of a bar, 0 to 100, beside the longest."""
    return round(100 * number / most, 1) if number and most else 0.0
