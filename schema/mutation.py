"""The mutations of the API."""

import strawberry

from schema.oversight.clients import ClientMutation
from schema.oversight.consent_filing import ConsentMutation
from schema.oversight.holds import HoldMutation
from schema.oversight.notice_outbox import NoticeMutation
from schema.oversight.objection_filing import ObjectionFilingMutation
from schema.oversight.objection_review import ObjectionMutation
from schema.oversight.placeholders import PlaceholderMutation
from schema.oversight.policies import PolicyMutation
from schema.oversight.reading_links import ReadingLinkMutation
from schema.releases.releases import ReleaseMutation
from schema.releases.runs import RunMutation
from schema.training.retractions import RetractionMutation


@strawberry.type(description="The mutations of the API, each limited to the roles in its `@governed` directive.")
class Mutation(
    ClientMutation,
    ConsentMutation,
    HoldMutation,
    NoticeMutation,
    ObjectionFilingMutation,
    ObjectionMutation,
    PlaceholderMutation,
    PolicyMutation,
    ReleaseMutation,
    ReadingLinkMutation,
    RetractionMutation,
    RunMutation,
):
    """The root type of mutations; each domain adds its own."""
