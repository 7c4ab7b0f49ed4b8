"""An item as those see it who examine, and the person whose it is; and whether and why it qualifies."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import strawberry

from db.content import ContentRow, content_number, page_of_contents
from db.delivery import client_names
from db.past import decision_as_of
from schema.account import Account, account_of
from schema.compiled import Column, Listed, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.decision import AsOf, Eligibility, eligibility_of
from schema.errors import BadInput
from schema.governed import CONCERNED, EXAMINERS, governed
from schema.ids import Kind, ids_of
from schema.node import Node
from schema.timeline import Recipient, TimelineEntry, recipient_of, timeline_page
from schema.values import Audience, ContentKind, Role

MOST_IDS = 100


async def _account(root: "Content", info: strawberry.Info[Context, None]) -> Account | None:
    row = await info.context.accounts.load(root.row.account)
    return account_of(info.context, row) if row else None


async def _eligibility(root: "Content", info: strawberry.Info[Context, None]) -> Eligibility:
    eligibility = await eligibility_by_number(info.context, root.row.id)
    assert eligibility is not None, "an item that is there has a decision"
    return eligibility


async def _recipients(root: "Content", info: strawberry.Info[Context, None]) -> list[Recipient]:
    return [recipient_of(row) for row in await info.context.recipients.load(root.row.id)]


async def _timeline(
    root: "Content",
    info: strawberry.Info[Context, None],
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: str | None = None,
) -> Connection[TimelineEntry]:
    return await timeline_page(info.context, root.row.id, first, after)


@strawberry.type(description="An item of the platform, permitted or not.")
class Content(Node):
    """Hold an item."""

    row: strawberry.Private[ContentRow]
    id: strawberry.ID = governed(CONCERNED, row=Listed("ids"))
    platform_id: str = governed(EXAMINERS, row=Column("platform_id"), description="The platform's own id.")
    kind: ContentKind = governed(CONCERNED, row=Word("kind", ContentKind))
    product: str | None = governed(
        CONCERNED, row=Column("product"), description="Its account's; null while that is not known."
    )
    audience: Audience | None = governed(CONCERNED, row=Word("audience", Audience))
    language: str | None = governed(CONCERNED, row=Column("language"))
    created_at: datetime = governed(CONCERNED, row=Column("created_at"))
    deleted_at: datetime | None = governed(CONCERNED, row=Column("deleted_at"))
    text_preview: str | None = governed(
        (Role.PRIVACY_OFFICER,), row=Column("preview"), description="The beginning of the de-identified text."
    )
    text_sha256: str | None = governed(
        (Role.AUDITOR,),
        row=Column("text_sha256"),
        description="SHA-256 of the de-identified text in UTF-8, in hexadecimal digits.",
    )
    account: Account | None = governed(CONCERNED, resolver=_account, description="Null while it is not known.")
    eligibility: Eligibility = governed(CONCERNED, resolver=_eligibility)
    recipients: list[Recipient] = governed(
        EXAMINERS, resolver=_recipients, description="Who received it, the earliest first."
    )
    timeline: Connection[TimelineEntry] = governed(
        EXAMINERS, resolver=_timeline, description="What is recorded of it and its account, as it became known."
    )


class ContentPage(KeysetPage):
    """Hold a page of items."""

    columns = {name: position for position, name in enumerate(ContentRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Content"


def content_of(context: Context, row: ContentRow) -> Content:
    """Show an item to its audience."""
    return Content(
        row=row,
        id=strawberry.ID(context.ids.write(Kind.CONTENT, row.id)),
        platform_id=row.platform_id,
        kind=ContentKind(row.kind),
        product=row.product,
        audience=Audience(row.audience) if row.audience else None,
        language=row.language,
        created_at=row.created_at,
        deleted_at=row.deleted_at,
        text_preview=row.preview,
        text_sha256=row.text_sha256,
    )


async def contents_page(
    context: Context,
    first: int,
    after: str | None,
    *,
    account: int | None = None,
    platform_ids: Sequence[str] | None = None,
) -> Connection[Content]:
    """Read a page of items: all of them for examiners, a data subject's own for that person."""
    if platform_ids is not None and len(platform_ids) > MOST_IDS:
        raise BadInput(f"platformIds: has {len(platform_ids)} values (name at most {MOST_IDS})")
    rows, has_next = await page_of_contents(
        context.reader,
        read_cursor(context.ids, Kind.CONTENT_CURSOR, after),
        checked_first(first, MOST_ROWS),
        owner=context.owner,
        account=account,
        platform_ids=platform_ids,
    )
    page = ContentPage(context.ids, Kind.CONTENT, Kind.CONTENT_CURSOR, rows, partial(content_of, context))
    return page_of(page, after=after, has_next=has_next)


async def find_content(context: Context, text: str) -> ContentRow | None:
    """Find an item by what a person may hold."""
    number = await find_number(context, text)
    return None if number is None else await context.contents.load(number)


async def find_number(context: Context, text: str) -> int | None:
    """Find an item's number: by our id, and for examiners by the platform's or a client's own.

    There may be no such item, or none that this audience may see.
    """
    number = context.ids.read_as(Kind.CONTENT, text)
    if number is None and context.owner is None:
        number = await content_number(context.reader, text)
        if number is None:
            number = await _number_of_a_client(context, text)
    return number


async def eligibility_by_number(context: Context, number: int) -> Eligibility | None:
    """Decide an item now and explain it."""
    decision = await context.decisions.load(number)
    return eligibility_of(decision, await context.gateway.policy(decision.policy)) if decision else None


async def eligibility_as_of(context: Context, number: int, as_of: AsOf) -> Eligibility | None:
    """Decide an item as it would have been decided at an earlier time; None where it was not known then."""
    now = datetime.now(UTC)
    for name, instant in (("validAt", as_of.valid_at), ("knownAt", as_of.known_at or now)):
        if instant.tzinfo is None:
            raise BadInput(f"asOf.{name}: has no offset (write it like 2026-05-27T12:00:00Z)")
    found = await decision_as_of(context.reader, number, as_of.valid_at, as_of.known_at or now)
    return eligibility_of(*found) if found else None


async def _number_of_a_client(context: Context, text: str) -> int | None:
    """Read a reference that a client brings. Each client has a key of its own, and only one fits."""
    for client in await client_names(context.reader):
        number = ids_of(context.gateway.secret, f"client:{client}").read_as(Kind.TRAINABLE_CONTENT, text)
        if number is not None:
            return number
    return None
