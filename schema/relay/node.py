"""The interface of everything that has an id."""

import strawberry

from schema.governed import EVERYONE, governed


@strawberry.interface(description="An object with an id.")
class Node:
    id: strawberry.ID = governed(EVERYONE, description="The id of the object, which can differ by role and by client.")
