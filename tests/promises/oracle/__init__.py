"""A second implementation of the rules, in plain Python and from the specification alone.

Nothing of the product is imported: where this oracle and the product disagree, one of the two misreads the rules.
"""

from tests.promises.oracle.features import ALL_FEATURES, Feature, Features
from tests.promises.oracle.lines import read_line
from tests.promises.oracle.policies import DEFAULT_POLICY, NOT_REQUIRED, codes_of
from tests.promises.oracle.verdicts import OUTCOMES, Decision, Outcome
from tests.promises.oracle.world import World

__all__ = [
    "ALL_FEATURES",
    "DEFAULT_POLICY",
    "NOT_REQUIRED",
    "OUTCOMES",
    "Decision",
    "Feature",
    "Features",
    "Outcome",
    "World",
    "codes_of",
    "read_line",
]
