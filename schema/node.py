"""The interface of everything that has an id."""

import strawberry

from schema.governed import EVERYONE, governed


@strawberry.interface(description="Anything that has an id.")
class Node:
    """Hold an id."""

    id: strawberry.ID = governed(EVERYONE)
