"""Give and withdraw consent for the own account."""

from datetime import datetime

import strawberry

from db.oversight.consent_filing import give_consent, withdraw_consent
from schema.context import Info
from schema.enums import Role
from schema.errors import BadInput
from schema.governed import governed

CONSENTING = (Role.DATA_SUBJECT,)


@strawberry.type(description="A consent that counts from `givenAt`, unless an objection is active.")
class GivenConsent:
    reference: str = governed(CONSENTING, description="The reference of the consent.")
    given_at: datetime = governed(CONSENTING, description="The time from which the consent counts.")


@strawberry.type(description="The withdrawal of every consent of the account, with immediate effect.")
class WithdrawnConsent:
    reference: str = governed(CONSENTING, description="The reference of the withdrawal.")
    withdrawn_at: datetime = governed(CONSENTING, description="The time from which the withdrawal counts.")


async def _resolve_give_consent(info: Info) -> GivenConsent:
    """Resolve the mutation `giveConsent`: give consent for the data subject's own account."""
    given = await give_consent(info.context.database, info.context.actor.subject or "")
    if given is None:
        raise BadInput(
            "giveConsent: the policy in force does not ask your account for consent (you need not do anything)"
        )
    return GivenConsent(reference=given.reference, given_at=given.at)


async def _resolve_withdraw_consent(info: Info) -> WithdrawnConsent:
    """Resolve the mutation `withdrawConsent`: withdraw the consent of the data subject's own account."""
    withdrawn = await withdraw_consent(info.context.database, info.context.actor.subject or "")
    if withdrawn is None:
        raise BadInput("withdrawConsent: your account has not given consent (you need not do anything)")
    return WithdrawnConsent(reference=withdrawn.reference, withdrawn_at=withdrawn.at)


@strawberry.type
class ConsentMutation:
    """The mutations that give and withdraw consent, one as easily as the other."""

    give_consent: GivenConsent = governed(
        CONSENTING,
        resolver=_resolve_give_consent,
        description="Gives consent for the data subject's own account, if the policy in force asks for consent.",
    )
    withdraw_consent: WithdrawnConsent = governed(
        CONSENTING,
        resolver=_resolve_withdraw_consent,
        description="Withdraws every consent of the data subject's own account, with immediate effect.",
    )
