"""What can be done."""

import strawberry

from schema.clients import ClientMutation
from schema.holds import HoldMutation
from schema.notices import NoticeMutation
from schema.objecting import ObjectingMutation
from schema.objections import ObjectionMutation
from schema.proposals import PolicyMutation
from schema.retractions import RetractionMutation


@strawberry.type
class Mutation(
    ClientMutation,
    HoldMutation,
    NoticeMutation,
    ObjectingMutation,
    ObjectionMutation,
    PolicyMutation,
    RetractionMutation,
):
    """Do what can be done; each domain states its own."""
