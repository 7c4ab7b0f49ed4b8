"""Reasons for reading people's data: which operations of officers and auditors need one where a gateway requires it."""

from collections.abc import Sequence
from typing import Final

from schema.actor import Role
from schema.errors import ReasonRequired
from schema.governed import EXAMINERS

REASON_LIMIT: Final = 200
"""The maximum length of a reason, in characters."""
ABOUT_NO_PERSON: Final = frozenset(
    {
        "__typename",
        "__schema",
        "__type",
        "viewer",
        "policy",
        "conditions",
        "policies",
        "policyProposals",
        "simulatePolicy",
        "proposePolicy",
        "activatePolicy",
        "campaigns",
        "coverage",
        "coverageSeries",
        "authorityReport",
        "noticeSummary",
        "objectionSummary",
        "clients",
        "registerClient",
        "suspendClient",
        "resumeClient",
        "backgroundJobs",
        "ledgerVerification",
        "staffReads",
        "placeholders",
        "declarePlaceholder",
        "revokePlaceholder",
        "sharedLinks",
    }
)
"""The root fields that read no personal data. Every other root field needs a reason, even a newly added one."""


def is_reason(text: str) -> bool:
    """Return whether a text can be the reason that an operation states: one line that is not too long."""
    return len(text) <= REASON_LIMIT and text.isprintable()


def raise_if_reason_missing(role: Role, fields: Sequence[str]) -> None:
    """Raise ReasonRequired if a reason is needed by an operation with these root fields, which has none."""
    about = [name for name in fields if name not in ABOUT_NO_PERSON]
    if about and role in EXAMINERS:
        raise ReasonRequired(
            f"extensions.reason: is missing, and {about[0]} reads people's data (state the reason in one line)"
        )
