"""What can be done."""

import strawberry

from schema.holds import HoldMutation
from schema.proposals import PolicyMutation
from schema.retractions import RetractionMutation


@strawberry.type
class Mutation(HoldMutation, PolicyMutation, RetractionMutation):
    """Do what can be done; each domain states its own."""
