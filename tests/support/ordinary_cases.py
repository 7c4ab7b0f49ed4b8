"""The choice of the cases that the ordinary run tests, where a promise has many; CI tests all."""

from collections.abc import Iterable
from typing import Any

import pytest


def ordinary_every(count: int, cases: Iterable[Any]) -> list[object]:
    """Mark all cases `ci` except the first of each `count`, which the ordinary run tests. A tuple is several values."""
    return [
        pytest.param(*(case if type(case) is tuple else (case,)), marks=[pytest.mark.ci] if number % count else [])
        for number, case in enumerate(cases)
    ]
