"""The noise of each published number: the parameters that protect each person, and their sum.

README.md beside this file has the mathematics: Gaussian differential privacy with the person as the unit.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from random import SystemRandom
from statistics import NormalDist
from typing import Final

MAX_ITEMS_IN_TOTAL: Final = 20
"""The maximum number of items for which a person counts in the counts of all items."""
MAX_ITEMS_IN_TABLES: Final = 5
"""The maximum number of items for which a person counts in tables, which divide the total by dimensions."""
MAX_ITEMS_BELOW: Final = 5
"""The maximum number of excluded items of other persons that count because of one person's items. For example, if an
item is not public, the comments and captions below the item are excluded."""
PRIVACY_LOSS: Final = 0.175
"""The parameter mu of one publication for all purposes together. It protects all data that is stored about a person."""
PUBLICATIONS_IN_30_DAYS: Final = 2

SHARES: Final[Mapping[str, float]] = {
    "TOTAL": 0.04,
    "DELIVERIES": 0.04,
    "SCALE": 0.01,
    "FIRST": 0.04,
    "FAILING": 0.06,
    "ALONE": 0.03,
    "KIND": 0.03,
    "PRODUCT": 0.02,
    "COUNTRY": 0.05,
    "LANGUAGE": 0.06,
    "MONTH": 0.09,
    "BELOW": 0.03,
    "KIND,COUNTRY": 0.27,
    "COUNTRY,LANGUAGE": 0.19,
    "KIND,PRODUCT": 0.04,
}
"""The part of the squared privacy loss of a purpose that each measurement uses."""

CONFIDENCE: Final = 0.95
"""The probability that the error of a published count is at most its margin."""

Noise = Callable[[float], float]
"""A function that draws noise with a given standard deviation."""

_RANDOM = SystemRandom()


def gaussian_noise(deviation: float) -> float:
    """Draw Gaussian noise for coverage from the operating system's randomness; it is stored nowhere."""
    return _RANDOM.normalvariate(0.0, deviation)


def noise_deviations(conditions: int, purposes: int) -> dict[str, float]:
    """Return the standard deviation of each coverage measurement's noise, in items.

    The same persons are measured for each of the purposes: each has an equal part of the square of PRIVACY_LOSS, so
    that all of them together have no more than one alone would.
    """
    loss = PRIVACY_LOSS / sqrt(purposes)
    return {name: _sensitivity(name, conditions) / (loss * sqrt(share)) for name, share in SHARES.items()}


def noise_margin(deviation: float) -> float:
    """Return how far a published number of coverage can be off by noise, in CONFIDENCE of all cases."""
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation


def greatest_advantage(publications: float) -> float:
    """Return how much better than by chance an attacker can guess whether a person is in the published coverage.

    It is the accuracy of the best test with everything known but that person, less 1/2.
    """
    return NormalDist().cdf(PRIVACY_LOSS * sqrt(publications) / 2) - 0.5


def _sensitivity(name: str, conditions: int) -> float:
    """Return the largest change (Euclidean) of a coverage measurement when one person's facts change.

    A person moves all its items from some cells of a table to others, or from failing some conditions to failing the
    rest of them; the scale is one number. Below other persons' items, its own count besides, and each leaves less room
    for those of others: README.md has the sum.
    """
    if name == "SCALE":
        return MAX_ITEMS_IN_TABLES
    if name == "FAILING":
        return MAX_ITEMS_IN_TOTAL * sqrt(conditions)
    if name == "BELOW":
        return (2 * MAX_ITEMS_IN_TABLES + MAX_ITEMS_BELOW) * sqrt(2)
    cap = MAX_ITEMS_IN_TOTAL if name in ("TOTAL", "DELIVERIES", "FIRST", "ALONE") else MAX_ITEMS_IN_TABLES
    return cap * sqrt(2)
