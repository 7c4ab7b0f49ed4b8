"""Trainable content in the order in which it became available, behind a cursor that a training client keeps."""

import hashlib
import json
from datetime import date
from enum import StrEnum
from typing import Any, Final

from db.delivery.availability import MAX_PASSED_OVER, Place
from schema.context import Context
from schema.enums import described_enum
from schema.errors import BadInput, FeatureUnavailable
from schema.relay.connection import raise_cursor_lost
from schema.relay.ids import IdKind, Ids
from schema.training.filters import TrainableContentFilter

_POSITION_BITS: Final = 40
_FILTER_BITS: Final = 23
_SEPARATOR: Final = "."


@described_enum(
    "An order of trainable content.",
    ID="The order of the items' internal ids; with this order, read the whole list from the start.",
    AVAILABILITY=(
        "The order in which the items became available; store the last `endCursor`, and pass it later to get "
        "the items that have become available since then."
    ),
)
class TrainableContentOrder(StrEnum):
    ID = "ID"
    AVAILABILITY = "AVAILABILITY"


def filter_fingerprint(purpose: str, filter: TrainableContentFilter | None) -> int:
    """Hash the purpose and the filter of trainable content to few bits, for the cursor that belongs to both."""
    stated = (
        {name: _stated_values(value) for name, value in vars(filter).items() if value is not None} if filter else {}
    )
    canonical = json.dumps([purpose, stated], sort_keys=True)
    return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:4]) >> (32 - _FILTER_BITS)


def _stated_values(value: Any) -> Any:
    """Write a field of the filter of trainable content alike for what selects the same items."""
    if isinstance(value, list):
        return sorted({_stated_values(each) for each in value})
    if isinstance(value, date):
        return value.strftime("%Y-%m")
    return str(value).lower() if isinstance(value, str) else [value.share, value.seed]


def encode_place(ids: Ids, fingerprint: int, place: Place) -> str:
    """Encode a place in the order of availability of trainable content as a cursor."""
    numbers = [fingerprint << _POSITION_BITS | position for position in (place.position, *place.passed_over)]
    return _SEPARATOR.join(ids.encode_all(IdKind.AVAILABILITY_CURSOR, numbers))


def read_place(ids: Ids, fingerprint: int, after: str | None) -> Place:
    """Read the cursor of a page of trainable content in the order of availability. Raises BadInput or CursorLost."""
    if after is None:
        return Place()
    parts = after.split(_SEPARATOR, MAX_PASSED_OVER + 1)
    numbers = [ids.decode_as(IdKind.AVAILABILITY_CURSOR, part) for part in parts]
    if any(ids.is_lost_cursor(IdKind.AVAILABILITY_CURSOR, part) for part in parts):
        raise_cursor_lost()
    if ids.decode_as(IdKind.TRAINABLE_CONTENT_CURSOR, after) is not None:
        raise BadInput(
            "after: this cursor belongs to the order ID (omit `order`, or omit `after` to read the order AVAILABILITY "
            "from the start)"
        )
    positions = [number & (1 << _POSITION_BITS) - 1 for number in numbers if number is not None]
    if len(positions) != len(parts):
        raise BadInput("after: must be a cursor of this list (pass pageInfo.endCursor of the previous page, unchanged)")
    if any(number is None or number >> _POSITION_BITS != fingerprint for number in numbers):
        raise BadInput(
            "after: belongs to another filter or purpose (pass the same filter as for the page that returned the"
            " cursor, or omit `after` to read from the start)"
        )
    return Place(positions[0], tuple(positions[1:]))


def raise_if_other_order(ids: Ids, after: str) -> None:
    """Raise BadInput if the cursor of trainable content belongs to the order of availability."""
    first = after.partition(_SEPARATOR)[0]
    if ids.decode_as(IdKind.AVAILABILITY_CURSOR, first) is not None:
        raise BadInput(
            "after: this cursor belongs to the order AVAILABILITY (pass order: AVAILABILITY, or omit `after` to read"
            " from the start)"
        )


def raise_unless_offers(context: Context) -> None:
    """Refuse the order of availability of trainable content where the gateway keeps no offers."""
    if not context.gateway.offers:
        raise FeatureUnavailable(
            "order: AVAILABILITY is not available, because this gateway stores no offers (omit `order`, or ask "
            "the operator"
            " to set GROUNDS_OFFERS=true)"
        )


def offers_not_built() -> FeatureUnavailable:
    """Return the error for the order of availability of trainable content while offers are built."""
    return FeatureUnavailable(
        "order: AVAILABILITY is not available while the gateway builds the offers, after a start or a change of the"
        " rules (try again later with the same cursor)"
    )
