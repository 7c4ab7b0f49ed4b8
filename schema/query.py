"""What can be asked."""

from typing import Annotated

import strawberry

from db.account import account_number
from db.policies import policy_of
from schema.account import Account, account_of, accounts_page
from schema.clients import Client, Verification, all_clients, verification
from schema.connection import Connection
from schema.consent import ConsentEvent, events_page
from schema.content import (
    Content,
    content_of,
    contents_page,
    eligibility_as_of,
    eligibility_by_number,
    find_content,
    find_number,
)
from schema.context import Context
from schema.coverage import Coverage, coverage
from schema.decision import AsOf, Condition, Eligibility, catalogue
from schema.errors import BadInput
from schema.governed import CONCERNED, EVERYONE, EXAMINERS, OFFICERS, STAFF, TRAINING, governed
from schema.holds import Hold, holds_page
from schema.ids import Kind
from schema.node import Node
from schema.notices import PLATFORM, PendingNotice, pending_notices
from schema.objecting import UnmatchedObjection, unmatched_page
from schema.objections import ObjectionRecord, ObjectionSummary, objection_summary, objections_page
from schema.policy import Policy, policy_of_document
from schema.proposals import (
    PolicyProposal,
    PolicyVersion,
    Simulation,
    policy_proposals,
    policy_versions,
    simulate_policy,
)
from schema.reach import NoticeSummary, notice_summary
from schema.retractions import (
    EligibilityCheck,
    Incident,
    Retraction,
    check_eligibility,
    incidents_page,
    retractions_page,
)
from schema.subject import OwnRecords
from schema.trainable import TrainableContent, trainable_content, trainable_item
from schema.values import Role

Info = strawberry.Info[Context, None]
First = Annotated[int, strawberry.argument(description="How many: 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")]


async def _own_account(info: Info) -> Account | None:
    subject = info.context.actor.subject
    return await _account(info, strawberry.ID(subject)) if subject else None


@strawberry.type(description="Who asks, as the token says.")
class Viewer(OwnRecords):
    """Say who asks."""

    name: str = governed(EVERYONE)
    role: Role = governed(EVERYONE)
    client: str | None = governed(EVERYONE)
    purpose: str | None = governed(EVERYONE)
    account: Account | None = governed(CONCERNED, resolver=_own_account, description="A data subject's own account.")


def _viewer(info: Info) -> Viewer:
    actor = info.context.actor
    return Viewer(name=actor.name, role=actor.role, client=actor.client, purpose=actor.purpose)


async def _eligibility(info: Info, content_id: strawberry.ID, as_of: AsOf | None = None) -> Eligibility | None:
    number = await find_number(info.context, content_id)
    if number is None:
        return None
    if as_of is None:
        return await eligibility_by_number(info.context, number)
    if info.context.actor.role not in EXAMINERS:
        raise BadInput("asOf: is for examiners (leave it out)")
    return await eligibility_as_of(info.context, number, as_of)


async def _content(info: Info, id: strawberry.ID) -> Content | None:
    row = await find_content(info.context, id)
    return content_of(info.context, row) if row else None


async def _contents(
    info: Info,
    first: First,
    after: After = None,
    platform_ids: Annotated[
        list[str] | None, strawberry.argument(description="Only these, by the platform's own ids; at most 100.")
    ] = None,
) -> Connection[Content]:
    if platform_ids is not None and info.context.actor.role not in EXAMINERS:
        raise BadInput("platformIds: is for examiners (leave it out)")
    return await contents_page(info.context, first, after, platform_ids=platform_ids)


async def _account(info: Info, id: strawberry.ID) -> Account | None:
    context = info.context
    number = context.ids.read_as(Kind.ACCOUNT, id)
    if number is None:
        number = await account_number(context.reader, id)
    row = None if number is None else await context.accounts.load(number)
    return account_of(context, row) if row else None


async def _accounts(info: Info, first: First, after: After = None) -> Connection[Account]:
    return await accounts_page(info.context, first, after)


async def _consent_events(info: Info, first: First, after: After = None) -> Connection[ConsentEvent]:
    context = info.context
    account = None
    if context.owner is not None:
        account = await account_number(context.reader, context.owner) or 0  # of nobody, rather than of all
    return await events_page(context, first, after, account)


async def _policy(info: Info, version: str | None = None) -> Policy | None:
    found = await policy_of(info.context.database.dashboard, version)
    return policy_of_document(found) if found else None


async def _conditions(info: Info) -> list[Condition]:
    found = await policy_of(info.context.database.dashboard, None)
    return catalogue(found) if found else []


async def _node(info: Info, id: strawberry.ID) -> Node | None:
    context = info.context
    found = context.ids.read(id)
    if found is None:
        return None
    kind, number = found
    if kind is Kind.TRAINABLE_CONTENT and context.actor.role in TRAINING:
        return await trainable_item(info, number)
    if kind is Kind.CONTENT and context.actor.role in CONCERNED:
        row = await context.contents.load(number)
        return content_of(context, row) if row else None
    if kind is Kind.ACCOUNT and context.actor.role in CONCERNED:
        account = await context.accounts.load(number)
        return account_of(context, account) if account else None
    return None


@strawberry.type
class Query:
    """Answer what can be asked."""

    viewer: Viewer = governed(EVERYONE, resolver=_viewer, description="Who asks.")
    trainable_content: Connection[TrainableContent] = governed(
        TRAINING, resolver=trainable_content, description="Permitted items, each with its reason; 1 to 1000 a page."
    )
    eligibility: Eligibility | None = governed(
        CONCERNED,
        resolver=_eligibility,
        description="Whether an item is permitted and why: by our id, or for examiners the platform's or a client's.",
    )
    content: Content | None = governed(
        CONCERNED, resolver=_content, description="An item: by our id, or for examiners the platform's or a client's."
    )
    contents: Connection[Content] = governed(CONCERNED, resolver=_contents, description="All items, permitted or not.")
    account: Account | None = governed(
        CONCERNED, resolver=_account, description="An account: by our id or the platform's."
    )
    accounts: Connection[Account] = governed(CONCERNED, resolver=_accounts, description="All accounts that are known.")
    consent_events: Connection[ConsentEvent] = governed(
        CONCERNED, resolver=_consent_events, description="The ledger of positions, in the order it was written."
    )
    policy: Policy | None = governed(
        EVERYONE, resolver=_policy, description="The policy in force, or a version that was."
    )
    conditions: list[Condition] = governed(
        EVERYONE, resolver=_conditions, description="Every condition that the policy in force evaluates."
    )
    holds: Connection[Hold] = governed(
        EXAMINERS, resolver=holds_page, description="Regulatory holds, in the order they were opened."
    )
    notice_summary: list[NoticeSummary] = governed(
        EXAMINERS, resolver=notice_summary, description="Whom the notices of each campaign reached, the latest first."
    )
    objections: Connection[ObjectionRecord] = governed(
        EXAMINERS, resolver=objections_page, description="Every objection, in the order they came in."
    )
    objection_summary: ObjectionSummary = governed(
        EXAMINERS, resolver=objection_summary, description="How many objections there are, and how they stand."
    )
    unmatched_objections: Connection[UnmatchedObjection] = governed(
        OFFICERS, resolver=unmatched_page, description="Objections that reach no known account; they are kept."
    )
    policies: list[PolicyVersion] = governed(
        EXAMINERS, resolver=policy_versions, description="Every version, proposed or in force once; the newest first."
    )
    policy_proposals: list[PolicyProposal] = governed(
        EXAMINERS, resolver=policy_proposals, description="Every proposed policy, the newest first."
    )
    simulate_policy: Simulation = governed(
        EXAMINERS, resolver=simulate_policy, description="How many items a policy would gain and lose."
    )
    pending_notices: Connection[PendingNotice] = governed(
        PLATFORM, resolver=pending_notices, description="What the platform is to show in its app."
    )
    retractions: Connection[Retraction] = governed(
        TRAINING, resolver=retractions_page, description="What became of what this client received, in order."
    )
    check_eligibility: EligibilityCheck = governed(
        TRAINING,
        resolver=check_eligibility,
        description="Which items may be used, for a client that lost its state.",
    )
    incidents: Connection[Incident] = governed(
        EXAMINERS, resolver=incidents_page, description="What was delivered although an objection was on its way."
    )
    coverage: Coverage | None = governed(
        STAFF, resolver=coverage, description="What is permitted and what keeps the rest out, once a day."
    )
    clients: list[Client] = governed(EXAMINERS, resolver=all_clients, description="Every training client.")
    verification: Verification | None = governed(
        EXAMINERS, resolver=verification, description="The last run of `grounds verify`; null before the first."
    )
    node: Node | None = governed((*TRAINING, *CONCERNED), resolver=_node, description="Anything by its id.")
