"""The parameters of the method that protects each person in published counts, as the API states them."""

import strawberry

from db.coverage.noise import (
    CONFIDENCE,
    MAX_ITEMS_IN_TABLES,
    MAX_ITEMS_IN_TOTAL,
    PRIVACY_LOSS,
    PUBLICATIONS_IN_30_DAYS,
    greatest_advantage,
)
from schema.governed import OPEN, governed


@strawberry.type(
    description="The parameters of the differential privacy that protects each person in published counts."
)
class CoverageProtection:
    max_items_in_total: int = governed(
        OPEN, description="The maximum number of items that one person adds to a count of all items."
    )
    max_items_in_tables: int = governed(
        OPEN,
        description=(
            "The maximum number of items that one person adds to a table; the counts of a table are then scaled so "
            "that their sum is the number of all items."
        ),
    )
    confidence: float = governed(OPEN, description="The probability that the error of a count is at most its margin.")
    privacy_loss: float = governed(
        OPEN,
        description=(
            "The parameter mu of Gaussian differential privacy, for one publication of the counts for all purposes."
        ),
    )
    greatest_advantage: float = governed(
        OPEN,
        description=(
            "An attacker with the publications of 30 days can guess whether a person is counted; at most this "
            "share plus 0.5 of the guesses are right."
        ),
    )


PROTECTION = CoverageProtection(
    max_items_in_total=MAX_ITEMS_IN_TOTAL,
    max_items_in_tables=MAX_ITEMS_IN_TABLES,
    confidence=CONFIDENCE,
    privacy_loss=PRIVACY_LOSS,
    greatest_advantage=round(greatest_advantage(PUBLICATIONS_IN_30_DAYS), 4),
)
