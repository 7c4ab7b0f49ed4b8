"""The geometry of charts, in units of their view box. Templates write the SVG, CSS sets the colours.

A chart is drawn from the numbers of a table and shows nothing that the table does not have.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1140
TOP: Final = 24
BASELINE: Final = 250
CHARACTER_WIDTH: Final = 6.2
SMALL_SHARE: Final = 0.02
BAR_SHARE: Final = 0.72
MARGIN: Final = (1 - BAR_SHARE) / 2
MAX_STEPS: Final = 14
SHADES: Final = 7
MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """A step of the funnel: its conditions in words, and the items that remain after it; None is withheld."""

    names: tuple[str, ...]
    remaining: int | None

    @property
    def label(self) -> str:
        """Return the text under a bar of the dashboard's funnel chart."""
        return self.names[0] if len(self.names) == 1 else f"{len(self.names)} conditions"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with the text above it and the lines under it; `joint` is the height at which the next bar begins."""

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
    """A waterfall chart, from left to right; `gap` is the distance between two bars."""

    bars: list[Bar]
    gap: float


def draw_waterfall(start: int, steps: Sequence[FunnelStep], first: str, last: str) -> Waterfall:
    """Draw the dashboard's funnel chart: how steps reduce `start` items; neighbouring small steps share a bar."""
    merged = merge_small_steps(start, steps)
    pitch = WIDTH / (len(merged) + 2)
    width = pitch * BAR_SHARE
    scale = (BASELINE - TOP) / max(start, 1)

    def bar(place: int, kind: str, top: int, bottom: int, number: str, name: str) -> Bar:
        """Draw one bar of the dashboard's funnel chart."""
        y, height = BASELINE - top * scale, max((top - bottom) * scale, 1.0)
        joint = None if kind == "last" else BASELINE - (top if kind == "first" else bottom) * scale
        lines = textwrap.wrap(name, max(6, int(pitch / CHARACTER_WIDTH)), break_long_words=False)
        x, broad, rise = round((place + MARGIN) * pitch, 1), round(width, 1), round(height, 1)
        return Bar(kind, x, round(y, 1), broad, rise, number, lines, joint)

    bars = [bar(0, "first", start, 0, f"{start:,}", first)]
    remaining = start
    for place, step in enumerate(merged, 1):
        assert step.remaining is not None, "withheld steps are merged with the next"
        lost = remaining - step.remaining
        bars.append(bar(place, "lost", remaining, step.remaining, f"{MINUS}{lost:,}", step.label))
        remaining = step.remaining
    bars.append(bar(len(merged) + 1, "last", remaining, 0, f"{remaining:,}", last))
    return Waterfall(bars, gap=round(pitch - width, 1))


def draw_columns(numbers: Sequence[tuple[str, int]]) -> list[Bar]:
    """Draw numbers as columns of a dashboard chart, in their order; the highest fills the height."""
    pitch = WIDTH / max(len(numbers), 1)
    scale = (BASELINE - TOP) / max(*(number for _, number in numbers), 1)
    return [
        Bar(
            kind="lost",
            x=round((place + MARGIN) * pitch, 1),
            y=round(BASELINE - number * scale, 1),
            width=round(pitch * BAR_SHARE, 1),
            height=round(number * scale, 1),
            number=f"{number:,}",
            lines=[name],
            joint=None,
        )
        for place, (name, number) in enumerate(numbers)
    ]


def merge_small_steps(start: int, steps: Sequence[FunnelStep]) -> list[FunnelStep]:
    """Merge neighbouring small or withheld steps of the dashboard's funnel, and leave out those that remove nothing."""
    small = start * SMALL_SHARE
    while True:
        merged = _merge_steps_below(start, steps, small)
        if len(merged) <= MAX_STEPS:
            return merged
        small = small * 1.5 + 1


def _merge_steps_below(start: int, steps: Sequence[FunnelStep], small: float) -> list[FunnelStep]:
    """Merge neighbouring steps of the dashboard's funnel that remove at most `small` items."""
    merged: list[FunnelStep] = []
    waiting: list[str] = []
    before = end = start
    for step in steps:
        if step.remaining is None:
            waiting += step.names
            continue
        lost = end - step.remaining
        if lost > small and end < before:
            merged.append(FunnelStep(tuple(waiting), end))
            waiting, before = [], end
        if lost:
            waiting += step.names
        end = step.remaining
        if lost > small:
            merged.append(FunnelStep(tuple(waiting), end))
            waiting, before = [], end
    if end < before:
        merged.append(FunnelStep(tuple(waiting), end))
    return merged


def shade_of(share: float | None, most: float) -> int | None:
    """Return a cell's shade, 0 to 6, in the dashboard's heat map, on a scale up to the greatest share."""
    if share is None:
        return None
    return min(SHADES - 1, int(share / most * SHADES)) if most else 0


def bar_length(number: int | None, most: int | None) -> float:
    """Return the length of a dashboard bar as a percentage of the longest, 0 to 100."""
    return round(100 * number / most, 1) if number and most else 0.0
