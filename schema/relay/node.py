"""The interface of everything that has an id."""

import strawberry

from schema.governed import EVERYONE, governed


@strawberry.interface(description="An object with an id.")
class Node:
    id: strawberry.ID = governed(
        EVERYONE, description=("The id of the object; the same object can have another id for another role or client.")
    )
