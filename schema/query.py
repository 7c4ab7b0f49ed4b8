"""The queries of the API."""

from typing import Annotated

import strawberry

from db.policies.store import policy_of
from db.records.account import find_account_id
from schema.context import Info
from schema.enums import Role
from schema.errors import BadInput
from schema.governed import ANYONE, EVERYONE, EXAMINERS, EXAMINERS_AND_OWNER, OFFICERS, OPEN, TRAINING, governed
from schema.oversight.altered_media import AlteredMedium, altered_media_page
from schema.oversight.canaries import Canary, resolve_canaries
from schema.oversight.clients import (
    BackgroundJob,
    Client,
    LedgerVerification,
    resolve_background_jobs,
    resolve_clients,
    resolve_ledger_verification,
)
from schema.oversight.coverage import Coverage, coverage
from schema.oversight.holds import Hold, holds_page
from schema.oversight.notice_outbox import PLATFORM, PendingNotice, resolve_pending_notices
from schema.oversight.notice_summary import NoticeSummary, resolve_notice_summary
from schema.oversight.objection_filing import UnmatchedObjection, unmatched_page
from schema.oversight.objection_review import (
    ObjectionRecord,
    ObjectionSummary,
    objections_page,
    resolve_objection_summary,
)
from schema.oversight.oversight_query import OversightQuery
from schema.oversight.placeholders import Placeholder, SharedLink, resolve_placeholders, resolve_shared_links
from schema.oversight.policies import (
    PolicyProposal,
    PolicySimulation,
    PolicyVersion,
    resolve_policy_proposals,
    resolve_policy_versions,
    resolve_simulate_policy,
)
from schema.oversight.policy import Policy, policy_of_document
from schema.oversight.public_record import PublicRecord, resolve_public_record
from schema.oversight.staff_reads import StaffRead, staff_reads_page
from schema.records.account import Account, account_of, accounts_page
from schema.records.campaign import Campaign, resolve_campaigns
from schema.records.consent import ConsentEvent, events_page
from schema.records.content import (
    Content,
    content_of,
    contents_page,
    eligibility_as_of,
    eligibility_now,
    find_any_content,
    find_any_content_id,
)
from schema.records.eligibility import AsOf, Condition, Eligibility, ForPurpose, describe_conditions
from schema.records.viewer import OwnRecords
from schema.relay.connection import After, Connection, First
from schema.relay.ids import IdKind
from schema.relay.node import Node
from schema.releases.releases import Release, releases_page, resolve_release
from schema.releases.runs import TrainingRun, runs_page
from schema.training.retractions import (
    EligibilityCheck,
    Incident,
    Retraction,
    check_eligibility,
    incidents_page,
    retractions_page,
)
from schema.training.trainable_content import TrainableContent, trainable_content, trainable_item


async def _resolve_own_account(info: Info) -> Account | None:
    """Resolve `viewer { account }` under the root of the GraphQL API: the data subject's own account."""
    subject = info.context.actor.subject
    return await _resolve_account(info, strawberry.ID(subject)) if subject else None


@strawberry.type(description="The holder of the access token.")
class Viewer(OwnRecords):
    name: str = governed(ANYONE, description="The name in the token.")
    role: Role = governed(ANYONE, description="The role in the token.")
    client: str | None = governed(ANYONE, description="The name of the training client, null for other roles.")
    purpose: str | None = governed(ANYONE, description="The purpose of the training client, null for other roles.")
    account: Account | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_own_account,
        description="The data subject's own account, null for other roles and while the account is unknown.",
    )


def _resolve_viewer(info: Info) -> Viewer:
    """Resolve the root field `viewer` of the GraphQL API: the actor of the token."""
    actor = info.context.actor
    return Viewer(name=actor.name, role=actor.role, client=actor.client, purpose=actor.purpose)


async def _resolve_eligibility(
    info: Info,
    content_id: Annotated[strawberry.ID, strawberry.argument(description="The id of the item.")],
    as_of: Annotated[
        AsOf | None,
        strawberry.argument(
            description=(
                "A time in the past for which the gateway computes the decision; only officers and auditors can set "
                "this argument."
            )
        ),
    ] = None,
    purpose: ForPurpose = None,
) -> Eligibility | None:
    """Resolve the root field `eligibility` of the GraphQL API: a decision, now or as of an earlier time."""
    number = await find_any_content_id(info.context, content_id)
    if number is None:
        return None
    if as_of is None:
        return await eligibility_now(info.context, number, purpose)
    if info.context.actor.role not in EXAMINERS:
        raise BadInput("asOf: is for officers and auditors only (omit asOf)")
    return await eligibility_as_of(info.context, number, as_of, purpose)


async def _resolve_content(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of the item.")]
) -> Content | None:
    """Resolve the root field `content` of the GraphQL API: an item by any of its ids."""
    row = await find_any_content(info.context, id)
    return content_of(info.context, row) if row else None


async def _resolve_contents(
    info: Info,
    first: First,
    after: After = None,
    platform_ids: Annotated[
        list[str] | None,
        strawberry.argument(
            description=(
                "The platform's ids of the items to return, at most 100; only officers and auditors can pass ids."
            )
        ),
    ] = None,
) -> Connection[Content]:
    """Resolve the root field `contents` of the GraphQL API: a page of items."""
    if platform_ids is not None and info.context.actor.role not in EXAMINERS:
        raise BadInput("platformIds: is for officers and auditors only (omit platformIds)")
    return await contents_page(info.context, first, after, platform_ids=platform_ids)


async def _resolve_account(
    info: Info,
    id: Annotated[
        strawberry.ID,
        strawberry.argument(description="The id of the account, either the gateway's id or the platform's."),
    ],
) -> Account | None:
    """Resolve the root field `account` of the GraphQL API: an account by the gateway's or the platform's id."""
    context = info.context
    number = context.ids.decode_as(IdKind.ACCOUNT, id)
    if number is None:
        number = await find_account_id(context.reader, id)
    row = None if number is None else await context.accounts.load(number)
    return account_of(context, row) if row else None


async def _resolve_accounts(info: Info, first: First, after: After = None) -> Connection[Account]:
    """Resolve the root field `accounts` of the GraphQL API: a page of accounts."""
    return await accounts_page(info.context, first, after)


async def _resolve_consent_events(info: Info, first: First, after: After = None) -> Connection[ConsentEvent]:
    """Resolve the root field `consentEvents` of the GraphQL API: the events of one account or of all."""
    context = info.context
    account = None
    if context.owner is not None:
        account = await find_account_id(context.reader, context.owner) or 0  # of no account, rather than of all
    return await events_page(context, first, after, account)


async def _resolve_policy(
    info: Info,
    version: Annotated[
        str | None, strawberry.argument(description="The version of the policy, by default the version in force.")
    ] = None,
) -> Policy | None:
    """Resolve the root field `policy` of the GraphQL API: a version, by default the one in force."""
    found = await policy_of(info.context.database.dashboard, version)
    return policy_of_document(found) if found else None


async def _resolve_conditions(info: Info) -> list[Condition]:
    """Resolve the root field `conditions` of the GraphQL API: the catalogue under the policy in force."""
    found = await policy_of(info.context.database.dashboard, None)
    return describe_conditions(found) if found else []


async def _resolve_node(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of the object.")]
) -> Node | None:
    """Resolve the root field `node` of the GraphQL API: an object by its id, as far as the role may read it."""
    context = info.context
    found = context.ids.decode(id)
    if found is None:
        return None
    kind, number = found
    if kind is IdKind.TRAINABLE_CONTENT and context.actor.role in TRAINING:
        return await trainable_item(info, number)
    if kind is IdKind.CONTENT and context.actor.role in EXAMINERS_AND_OWNER:
        row = await context.contents.load(number)
        return content_of(context, row) if row else None
    if kind is IdKind.ACCOUNT and context.actor.role in EXAMINERS_AND_OWNER:
        account = await context.accounts.load(number)
        return account_of(context, account) if account else None
    return None


@strawberry.type(description="The queries of the API, each limited to the roles in its `@governed` directive.")
class Query(OversightQuery):
    viewer: Viewer = governed(ANYONE, resolver=_resolve_viewer, description="Returns the holder of the access token.")
    trainable_content: Connection[TrainableContent] = governed(
        TRAINING,
        resolver=trainable_content,
        description="Returns permitted items with their reasons; a page can be empty even if `hasNextPage` is true.",
    )
    eligibility: Eligibility | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_eligibility,
        description="Returns the decision on an item, null if there is no such item; officers and auditors can pass "
        "any id of the item.",
    )
    content: Content | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_content,
        description="Returns an item, null if there is no such item; officers and auditors can pass any id of the "
        "item.",
    )
    contents: Connection[Content] = governed(
        EXAMINERS_AND_OWNER, resolver=_resolve_contents, description="Returns all items, permitted or not."
    )
    account: Account | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_account,
        description="Returns an account by the gateway's id or the platform's id, null if there is no such account.",
    )
    accounts: Connection[Account] = governed(
        EXAMINERS_AND_OWNER, resolver=_resolve_accounts, description="Returns all known accounts."
    )
    consent_events: Connection[ConsentEvent] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_consent_events,
        description=(
            "Returns the events about notices, objections and consents of accounts, in the order in which they were "
            "recorded."
        ),
    )
    policy: Policy | None = governed(
        ANYONE, resolver=_resolve_policy, description="Returns the policy in force, or the given version."
    )
    conditions: list[Condition] = governed(
        EVERYONE, resolver=_resolve_conditions, description="Returns the conditions that the policy in force evaluates."
    )
    public_record: PublicRecord = governed(
        OPEN,
        resolver=resolve_public_record,
        description="Returns the part of the records that everyone can read, as the public page shows it.",
    )
    staff_reads: Connection[StaffRead] = governed(
        EXAMINERS,
        resolver=staff_reads_page,
        description="Returns the reads of people's data by officers and auditors, newest first.",
    )
    holds: Connection[Hold] = governed(
        EXAMINERS, resolver=holds_page, description="Returns the holds, in the order in which they were opened."
    )
    canaries: list[Canary] = governed(
        OFFICERS,
        resolver=resolve_canaries,
        description="Returns the canaries, which are test items that the rules never permit.",
    )
    campaigns: list[Campaign] = governed(
        EXAMINERS,
        resolver=resolve_campaigns,
        description=(
            "Returns the campaigns, newest first, with the uses that they named and the texts of their messages."
        ),
    )
    notice_summary: list[NoticeSummary] = governed(
        EXAMINERS,
        resolver=resolve_notice_summary,
        description="Returns the campaigns, newest first, with the number of accounts by the state of their notices.",
    )
    objections: Connection[ObjectionRecord] = governed(
        EXAMINERS,
        resolver=objections_page,
        description="Returns all objections, in the order in which they were received.",
    )
    objection_summary: ObjectionSummary = governed(
        EXAMINERS, resolver=resolve_objection_summary, description="Returns the number of objections by state."
    )
    unmatched_objections: Connection[UnmatchedObjection] = governed(
        OFFICERS, resolver=unmatched_page, description="Returns the objections that match no known account."
    )
    policies: list[PolicyVersion] = governed(
        EXAMINERS, resolver=resolve_policy_versions, description="Returns all versions of the policy, newest first."
    )
    policy_proposals: list[PolicyProposal] = governed(
        EXAMINERS, resolver=resolve_policy_proposals, description="Returns all proposed policies, newest first."
    )
    simulate_policy: PolicySimulation = governed(
        EXAMINERS,
        resolver=resolve_simulate_policy,
        description=(
            "Returns how many more items a policy would permit (gain), and how many permitted items the policy would "
            "no longer permit (lose)."
        ),
    )
    placeholders: list[Placeholder] = governed(
        OFFICERS, resolver=resolve_placeholders, description="Returns all declared placeholders, newest first."
    )
    shared_links: list[SharedLink] = governed(
        OFFICERS,
        resolver=resolve_shared_links,
        description="Returns the person ids and contacts that are shared by the largest numbers of accounts.",
    )
    pending_notices: Connection[PendingNotice] = governed(
        PLATFORM,
        resolver=resolve_pending_notices,
        description="Returns the notices that the platform has to show in its app.",
    )
    retractions: Connection[Retraction] = governed(
        TRAINING, resolver=retractions_page, description="Returns the retractions of the client's items, in order."
    )
    release: Release | None = governed(
        (*TRAINING, *EXAMINERS), resolver=resolve_release, description="Returns a release, null if there is none."
    )
    releases: Connection[Release] = governed(
        (*TRAINING, *EXAMINERS),
        resolver=releases_page,
        description="Returns the releases of the client, oldest first; officers and auditors get the releases of all "
        "clients.",
    )
    training_runs: Connection[TrainingRun] = governed(
        (*TRAINING, *EXAMINERS),
        resolver=runs_page,
        description="Returns the training runs that the client recorded; officers and auditors get the training runs "
        "of all clients.",
    )
    check_eligibility: EligibilityCheck = governed(
        TRAINING,
        resolver=check_eligibility,
        description="Returns whether the client may still use each of the given items.",
    )
    incidents: Connection[Incident] = governed(
        EXAMINERS,
        resolver=incidents_page,
        description=(
            "Returns each delivery of an item that took place although the platform had already received an objection "
            "to the use of the item."
        ),
    )
    altered_media: Connection[AlteredMedium] = governed(
        EXAMINERS,
        resolver=altered_media_page,
        description="Returns the fetches in which the bytes of a media file differed from the bytes that the platform "
        "had stated.",
    )
    coverage: Coverage | None = governed(
        OPEN,
        resolver=coverage,
        description=(
            "Returns the counts of permitted and excluded items from a daily snapshot, null before the first snapshot."
        ),
    )
    clients: list[Client] = governed(EXAMINERS, resolver=resolve_clients, description="Returns all training clients.")
    ledger_verification: LedgerVerification | None = governed(
        EXAMINERS,
        resolver=resolve_ledger_verification,
        description="Returns the result of the last run of `grounds verify`, null before the first run.",
    )
    background_jobs: list[BackgroundJob] = governed(
        EXAMINERS,
        resolver=resolve_background_jobs,
        description="Returns the state of every background job.",
    )
    node: Node | None = governed(
        (*TRAINING, *EXAMINERS_AND_OWNER),
        resolver=_resolve_node,
        description="Returns an object by its id, null if there is no such object.",
    )
