"""Issue and revoke the links with which people read their own data."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import strawberry

from db.oversight.objection_filing import is_platform_id
from db.oversight.reading_links import LinkIssuer
from schema.context import Context, Info
from schema.enums import Role
from schema.errors import BadInput
from schema.governed import OFFICERS, governed
from schema.oversight.notice_outbox import PLATFORM

LINK_ISSUERS = (*OFFICERS, *PLATFORM)
LINK_REVOKERS = (*LINK_ISSUERS, Role.DATA_SUBJECT)
READING_PATH = "/me"


@strawberry.type(
    description="A link to a person's own data, which works only in the first browser that opens the link."
)
class ReadingLink:
    path: str = governed(
        LINK_ISSUERS,
        description="The path and query of the link; the whole link begins with the gateway's public address.",
    )
    expires_at: datetime = governed(LINK_ISSUERS, description="The time until which the link is valid.")


@strawberry.type(description="The result of revoking all links to the data of an account.")
class RevokedReadingLinks:
    count: int = governed(LINK_REVOKERS, description="The number of links that were valid until now.")


async def _issue_reading_link(
    info: Info,
    account: Annotated[
        str,
        strawberry.argument(description="The platform's id of the account; officers can also pass the gateway's id."),
    ],
) -> ReadingLink:
    """Resolve the mutation `issueReadingLink`: for the platform after its own sign-in, or for an officer."""
    context = info.context
    issued = await _link_issuer(context).issue(context.gateway.secret, await _account_of_link(context, account))
    return ReadingLink(path=f"{READING_PATH}?{urlencode({'t': issued.token})}", expires_at=issued.expires_at)


async def _revoke_reading_links(
    info: Info,
    account: Annotated[
        str | None,
        strawberry.argument(
            description="The platform's id of the account; officers can also pass the gateway's id, and a data "
            "subject omits this argument."
        ),
    ] = None,
) -> RevokedReadingLinks:
    """Resolve the mutation `revokeReadingLinks`: by the platform, an officer, or the person."""
    context = info.context
    if context.owner is not None and account is not None:
        raise BadInput(
            "account: only officers and the platform can set this (to revoke all your own links, omit account)"
        )
    if context.owner is None and account is None:
        raise BadInput("account: is missing (state the account whose links you want to revoke)")
    named = context.owner if account is None else await _account_of_link(context, account)
    return RevokedReadingLinks(count=await _link_issuer(context).revoke(named or ""))


async def _account_of_link(context: Context, account: str) -> str:
    """Read the account of a link to a person's own data; an officer can name it by the gateway's id too."""
    if not is_platform_id(account):
        raise BadInput("account: must have 1 to 200 printable characters (state the platform's id)")
    return account if context.actor.role in PLATFORM else await context.platform_account(account)


def _link_issuer(context: Context) -> LinkIssuer:
    """Return who issues or revokes a link to a person's own data by a mutation."""
    if context.owner is not None:
        return LinkIssuer.subject(context.database, context.owner)
    if context.actor.role in PLATFORM:
        return LinkIssuer.platform(context.database)
    return LinkIssuer.officer(context.database, context.actor.name)


@strawberry.type
class ReadingLinkMutation:
    """The mutations on links to people's own data."""

    issue_reading_link: ReadingLink = governed(
        LINK_ISSUERS,
        resolver=_issue_reading_link,
        description="Issues a link to a person's own data, valid for 7 days and only in the browser that opens the"
        " link first.",
    )
    revoke_reading_links: RevokedReadingLinks = governed(
        LINK_REVOKERS,
        resolver=_revoke_reading_links,
        description="Revokes every link with which the data of an account can be read, with immediate effect.",
    )
