"""The choice of the cases that the runs "ordinary" and "only CI" test if a promise has many cases."""

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import pytest


def ordinary_every(count: int, cases: Iterable[Any]) -> list[object]:
    """Mark the cases that the ordinary run does not test, which are all but the first of each `count`.

    Of these, every other one is marked `ci`, and the rest `long`. A tuple is several values.
    """
    rest = cycle((pytest.mark.ci, pytest.mark.long))
    return [
        pytest.param(*(case if type(case) is tuple else (case,)), marks=[next(rest)] if number % count else [])
        for number, case in enumerate(cases)
    ]
