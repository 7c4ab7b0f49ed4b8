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
        OPEN, description="The largest number of items of one person that are counted in a count of all items."
    )
    max_items_in_tables: int = governed(
        OPEN,
        description=(
            "The items of one person count as at most this many items in a table; the gateway then multiplies all"
            " counts of the table, so that their sum is the number of all items."
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
            "If an attacker knows all publications of 30 days and guesses whether a person is counted, the share of "
            "right guesses is at most 0.5 plus this value."
        ),
    )


PROTECTION = CoverageProtection(
    max_items_in_total=MAX_ITEMS_IN_TOTAL,
    max_items_in_tables=MAX_ITEMS_IN_TABLES,
    confidence=CONFIDENCE,
    privacy_loss=PRIVACY_LOSS,
    greatest_advantage=round(greatest_advantage(PUBLICATIONS_IN_30_DAYS), 4),
)
