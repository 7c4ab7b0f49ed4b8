"""What can be done."""

import strawberry

from schema.holds import HoldMutation
from schema.proposals import PolicyMutation


@strawberry.type
class Mutation(HoldMutation, PolicyMutation):
    """Do what can be done; each domain states its own."""
