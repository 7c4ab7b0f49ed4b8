"""The policy in force, or one that was: what it covers and what it asks."""

from datetime import datetime

import strawberry

from db.policy.document import Policy as Document
from db.policy.grounds import GROUNDS
from schema.decision import LegalBasis, legal_basis
from schema.governed import EVERYONE, STAFF, governed
from schema.values import AccountKind, ContentKind, GroundCode, Region


@strawberry.type(description="What a policy lets qualify on one ground.")
class PolicyGround:
    """Hold what a ground covers."""

    ground: GroundCode = governed(EVERYONE)
    legal_basis: LegalBasis = governed(EVERYONE)
    summary: str = governed(EVERYONE)
    kinds: list[ContentKind] = governed(EVERYONE)
    products: list[str] = governed(EVERYONE)
    conditions: list[str] = governed(EVERYONE, description="The codes of the conditions that it needs.")


@strawberry.type(description="A version of the policy. Immutable.")
class Policy:
    """Hold a policy."""

    version: str = governed(EVERYONE)
    title: str = governed(EVERYONE)
    effective_from: datetime = governed(EVERYONE)
    effective_until: datetime | None = governed(EVERYONE)
    purposes: list[str] = governed(EVERYONE)
    regions: list[Region] = governed(EVERYONE)
    account_kinds: list[AccountKind] = governed(EVERYONE)
    notice_epoch: str = governed(EVERYONE)
    notice_period_days: int = governed(EVERYONE)
    grounds: list[PolicyGround] = governed(EVERYONE)
    document: str = governed(STAFF, description="The whole document, JSON.")


def policy_of_document(document: Document) -> Policy:
    """Show a policy."""
    return Policy(
        version=document.version,
        title=document.title,
        effective_from=document.effective_from,
        effective_until=document.effective_until,
        purposes=list(document.purposes),
        regions=[Region(country) for country in document.regions],
        account_kinds=list(document.account_kinds),
        notice_epoch=document.notice.epoch,
        notice_period_days=document.notice.period_days,
        grounds=[
            PolicyGround(
                ground=code,
                legal_basis=legal_basis(code),
                summary=GROUNDS[code].summary,
                kinds=list(coverage.kinds),
                products=list(coverage.products),
                conditions=list(GROUNDS[code].required),
            )
            for code, coverage in document.grounds.items()
        ],
        document=document.document(),
    )
