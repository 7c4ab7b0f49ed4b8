"""A policy: what it covers and what it demands."""

from datetime import UTC, datetime
from enum import StrEnum

import strawberry

from db.policy.document import Controller as StatedController
from db.policy.document import Policy as Document
from db.policy.grounds import GROUNDS
from schema.enums import AccountKind, ContentKind, GroundCode, Region, described_enum
from schema.governed import ANYONE, STAFF, governed
from schema.records.eligibility import LegalBasis, legal_basis


@strawberry.type(description="The content that a policy permits on one ground.")
class PolicyGround:
    ground: GroundCode = governed(ANYONE, description="The ground.")
    legal_basis: LegalBasis = governed(ANYONE, description="The legal basis of the ground.")
    summary: str = governed(ANYONE, description="The ground in one sentence.")
    kinds: list[ContentKind] = governed(ANYONE, description="The kinds of content that the ground covers.")
    products: list[str] = governed(ANYONE, description="The products that the ground covers.")
    conditions: list[str] = governed(ANYONE, description="The codes of the conditions that the ground requires.")


@strawberry.type(description="A statement of the controller in one language.")
class ControllerStatement:
    language: str = governed(ANYONE, description="The language, such as `de`.")
    text: str = governed(ANYONE, description="The statement.")


@strawberry.type(description="The controller of the personal data, as notices and pages show it.")
class Controller:
    name: str = governed(ANYONE, description="The name.")
    address: str = governed(ANYONE, description="The postal address.")
    contact: str = governed(ANYONE, description="The contact for questions about personal data.")
    dpo: str = governed(ANYONE, description="The contact of the data protection officer.")
    authority: str = governed(ANYONE, description="The supervisory authority for complaints.")
    recipients: list[ControllerStatement] = governed(
        ANYONE,
        description=(
            "The recipients of personal data, described in each language; empty if the policy does not say it."
        ),
    )
    storage: list[ControllerStatement] = governed(
        ANYONE,
        description=("How long personal data are stored, in each language; empty if the policy does not say it."),
    )
    transfers: list[ControllerStatement] = governed(
        ANYONE,
        description=(
            "The transfers to countries outside the European Economic Area, described in each language; empty if the "
            "policy does not say it."
        ),
    )


@described_enum(
    "The consequence of an overdue assessment or review.",
    WARN="A warning is shown, and items stay permitted.",
    STOP="No item is permitted.",
)
class OnOverdue(StrEnum):
    WARN = "WARN"
    STOP = "STOP"


@strawberry.type(description="An assessment on which the policy is based.")
class PolicyAssessment:
    kind: str = governed(STAFF, description="The kind of assessment.")
    reference: str = governed(STAFF, description="The reference of the document.")
    sha256: str = governed(STAFF, description="The SHA-256 of the document, in hexadecimal.")
    approved_by: str = governed(STAFF, description="The name of the approver of the assessment.")
    valid_until: str = governed(STAFF, description="The day or time until which the assessment is valid.")
    on_overdue: OnOverdue = governed(STAFF, description="The consequence if the assessment is overdue.")


@strawberry.type(description="An immutable version of the policy.")
class Policy:
    version: str = governed(ANYONE, description="The version.")
    title: str = governed(ANYONE, description="The title.")
    effective_from: datetime = governed(ANYONE, description="The time from which the policy can permit items.")
    effective_until: datetime | None = governed(
        ANYONE, description="The time until which the policy can permit items, null if there is no end."
    )
    purposes: list[str] = governed(ANYONE, description="The purposes that the policy permits.")
    regions: list[Region] = governed(ANYONE, description="The countries that the policy covers.")
    account_kinds: list[AccountKind] = governed(ANYONE, description="The kinds of account that the policy covers.")
    notice_epoch: str = governed(ANYONE, description="The earliest epoch whose notices count, as YYYY-MM.")
    notice_period_days: int = governed(ANYONE, description="The notice period in days.")
    withdrawal_days: int = governed(
        ANYONE, description="The number of days for which a withdrawn objection stays active."
    )
    grounds: list[PolicyGround] = governed(ANYONE, description="The content that the policy permits on each ground.")
    controller: Controller | None = governed(
        ANYONE,
        description=(
            "The controller of the personal data, null if the policy states none; without a controller, no notice "
            "can be sent."
        ),
    )
    review_by: str | None = governed(
        STAFF, description="The day or time by which the policy must be reviewed, null if none is set."
    )
    assessments: list[PolicyAssessment] = governed(STAFF, description="The assessments on which the policy is based.")
    warnings: list[str] = governed(
        STAFF, description="The current warnings about the policy, for example that an assessment is overdue."
    )
    document: str = governed(STAFF, description="The policy document in JSON.")


def policy_of_document(document: Document) -> Policy:
    """Show a policy document as the GraphQL object `Policy`."""
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
        withdrawal_days=document.dwell.withdrawal_days,
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
        controller=_controller_of(document.controller) if document.controller else None,
        review_by=document.review_by,
        assessments=[
            PolicyAssessment(**each.model_dump() | {"on_overdue": OnOverdue(each.on_overdue or document.on_overdue)})
            for each in document.assessments
        ],
        warnings=document.warnings(datetime.now(UTC)),
        document=document.document(),
    )


def _controller_of(stated: StatedController) -> Controller:
    """Show the controller of a policy as a GraphQL object."""
    contacts = {name: getattr(stated, name) for name in ("name", "address", "contact", "dpo", "authority")}
    return Controller(
        **contacts,
        recipients=_statements(stated.recipients),
        storage=_statements(stated.storage),
        transfers=_statements(stated.transfers),
    )


def _statements(stated: dict[str, str] | None) -> list[ControllerStatement]:
    """Show what a policy states of recipients, storage and transfers in each language, as GraphQL objects."""
    return [ControllerStatement(language=language, text=text) for language, text in sorted((stated or {}).items())]
