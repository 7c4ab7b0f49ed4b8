"""A campaign: what its notices told people, and their very text."""

import strawberry

from db.policy.document import Use
from db.records.campaign import CampaignRow, CampaignTextRow, list_campaigns
from schema.context import Info
from schema.enums import ContentKind, MessageKind
from schema.governed import EXAMINERS, OPEN_AND_OWNER, governed


@strawberry.type(
    description="A use of content that a campaign named: one purpose for one kind of content on one product."
)
class CampaignUse:
    purpose: str = governed(OPEN_AND_OWNER, description="The purpose.")
    kind: ContentKind = governed(OPEN_AND_OWNER, description="The kind of content.")
    product: str = governed(OPEN_AND_OWNER, description="The product.")


@strawberry.type(description="The text of a message of a campaign in one language.")
class CampaignText:
    message: MessageKind = governed(OPEN_AND_OWNER, description="The kind of the message.")
    language: str = governed(OPEN_AND_OWNER, description="The language as a BCP 47 tag in lower case.")
    sha256: str = governed(OPEN_AND_OWNER, description="The SHA-256 of the text in UTF-8, in hexadecimal.")
    text: str | None = governed(
        OPEN_AND_OWNER,
        description=(
            "The text of the message, null if the gateway does not have the text; `{{ object_link }}` and `{{ "
            "information_link }}` stand for the links."
        ),
    )


@strawberry.type(description="A campaign of notices.")
class Campaign:
    epoch: str = governed(OPEN_AND_OWNER, description="The epoch of the campaign, as YYYY-MM.")
    told: list[CampaignUse] = governed(
        OPEN_AND_OWNER, description="The uses of content that the notices of the campaign told people about."
    )
    disputed: list[CampaignUse] = governed(
        EXAMINERS,
        description=(
            "Uses of content that are in some versions of the campaign's record and not in others; notices do not "
            "count for these uses."
        ),
    )
    texts: list[CampaignText] = governed(
        OPEN_AND_OWNER, description="The text of each message of the campaign in each language."
    )


async def resolve_campaigns(info: Info) -> list[Campaign]:
    """Resolve `campaigns` of the GraphQL API: the record of every campaign, the latest first."""
    return [campaign_of(row) for row in await list_campaigns(info.context.reader)]


def campaign_of(row: CampaignRow) -> Campaign:
    """Show a campaign's record as a GraphQL object."""
    return Campaign(
        epoch=row.epoch,
        told=_uses(row.told),
        disputed=_uses(row.disputed),
        texts=[campaign_text_of(text) for text in row.texts],
    )


def campaign_text_of(row: CampaignTextRow) -> CampaignText:
    """Show a campaign's recorded text as a GraphQL object."""
    return CampaignText(message=MessageKind(row.message), language=row.language, sha256=row.sha256, text=row.text)


def _uses(stated: list[str]) -> list[CampaignUse]:
    """Show uses of a campaign as GraphQL objects."""
    uses = [Use(*use.split(" ")) for use in stated]
    return [CampaignUse(purpose=use.purpose, kind=ContentKind(use.kind), product=use.product) for use in uses]
