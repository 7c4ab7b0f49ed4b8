"""The grounds on which an item can qualify, and the conditions that each of them needs."""

from dataclasses import dataclass
from enum import StrEnum

from db.policy.conditions import CONDITIONS

LEGITIMATE_INTEREST = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-f-controller"
CONSENT = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-a"


class GroundCode(StrEnum):
    """Name a ground."""

    PUBLIC_CONTENT = "PUBLIC_CONTENT"
    AI_INTERACTION = "AI_INTERACTION"
    OPTED_IN = "OPTED_IN"


@dataclass(frozen=True, slots=True)
class Ground:
    """Say what a ground rests on and which conditions it needs.

    `basis` is the legal basis's title, `dpv` its IRI in the Data Privacy Vocabulary 2.3.
    """

    code: GroundCode
    basis: str
    dpv: str
    summary: str
    required: tuple[str, ...]


def _all_but(*codes: str) -> tuple[str, ...]:
    return tuple(condition.code for condition in CONDITIONS if condition.code not in codes)


GROUNDS: dict[GroundCode, Ground] = {
    ground.code: ground
    for ground in (
        Ground(
            GroundCode.PUBLIC_CONTENT,
            "Legitimate interest of the controller (GDPR Article 6(1)(f))",
            LEGITIMATE_INTEREST,
            "An adult in the region made this public, was told of the training, had time to object and did not.",
            _all_but("OPTED_IN"),
        ),
        Ground(
            GroundCode.AI_INTERACTION,
            "Legitimate interest of the controller (GDPR Article 6(1)(f))",
            LEGITIMATE_INTEREST,
            "An adult in the region wrote this to the AI assistant, was told of the training, "
            "had time to object and did not.",
            _all_but("OPTED_IN", "AUDIENCE_PUBLIC", "AUDIENCE_STABLE"),
        ),
        Ground(
            GroundCode.OPTED_IN,
            "Consent (GDPR Article 6(1)(a))",
            CONSENT,
            "An adult in the region gave consent to the training and has not withdrawn it.",
            _all_but("NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED", "NO_ACTIVE_OBJECTION"),
        ),
    )
}
