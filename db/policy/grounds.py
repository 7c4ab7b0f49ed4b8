"""The grounds under which an item can qualify, and the conditions that each needs."""

from dataclasses import dataclass
from enum import StrEnum

from db.policy.conditions import CONDITIONS
from db.vocabulary import ContentKind

LEGITIMATE_INTEREST = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-f-controller"
CONSENT = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-a"


class GroundCode(StrEnum):
    """The codes of the grounds."""

    PUBLIC_CONTENT = "PUBLIC_CONTENT"
    AI_INTERACTION = "AI_INTERACTION"
    OPTED_IN = "OPTED_IN"


@dataclass(frozen=True, slots=True)
class Ground:
    """A ground: its legal basis and the conditions that it needs.

    `basis` is the legal basis's title, `dpv` its IRI in the Data Privacy Vocabulary 2.3.
    """

    code: GroundCode
    basis: str
    dpv: str
    summary: str
    required: tuple[str, ...]


def _all_but(*codes: str) -> tuple[str, ...]:
    """Return the codes of all conditions but these, for what a ground requires."""
    return tuple(condition.code for condition in CONDITIONS if condition.code not in codes)


GROUNDS: dict[GroundCode, Ground] = {
    ground.code: ground
    for ground in (
        Ground(
            GroundCode.PUBLIC_CONTENT,
            "Legitimate interest of the controller (GDPR Article 6(1)(f))",
            LEGITIMATE_INTEREST,
            "An adult in the region made this public, was told of the training, had time to object and did not.",
            _all_but("OPTED_IN", "CONVERSATION_OWN"),
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
            "An adult in the region gave consent to the training, has not withdrawn it, and has not objected.",
            _all_but("NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED"),  # an objection stops consent too (Article 7(3))
        ),
    )
}


def required_of(ground: GroundCode, kind: str) -> tuple[str, ...]:
    """Return the conditions that a ground of a policy requires of an item of a kind.

    A prompt has no audience: with consent it needs what a prompt needs, and any other item what public content needs.
    """
    required = GROUNDS[ground].required
    if ground is not GroundCode.OPTED_IN:
        return required
    alike = GROUNDS[GroundCode.AI_INTERACTION if kind == ContentKind.AI_INTERACTION else GroundCode.PUBLIC_CONTENT]
    return tuple(code for code in required if code in alike.required or code == "OPTED_IN")
