"""Placeholders: person ids and contacts that two officers declare to name no real person, such as an export's "0"."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.ingest.contacts import ContactError, read_contact
from db.oversight.officer import ActOutcome
from db.oversight.placeholders import PlaceholderRow, placeholder_of
from db.oversight.placeholders import list_placeholders as placeholder_rows
from db.oversight.placeholders import list_shared_links as shared_link_rows
from schema.context import Info
from schema.enums import described_enum
from schema.errors import BadInput
from schema.governed import OFFICERS, governed
from schema.oversight.holds import MAX_LENGTH, acting_officer
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import check_page_size


@described_enum(
    "The kind of a link between accounts.",
    PERSON="A person id of the platform, which several accounts can share.",
    CONTACT="An e-mail address, phone number or user name, identified by its SHA-256.",
)
class LinkKind(StrEnum):
    PERSON = "PERSON"
    CONTACT = "CONTACT"


@strawberry.type(description="A person id or a contact that identifies no real person, as declared by an officer.")
class Placeholder:
    kind: LinkKind = governed(OFFICERS, description="The kind of the link.")
    value: str = governed(OFFICERS, description="The person id, or the SHA-256 of the contact.")
    reason: str = governed(OFFICERS, description="The reason that the first officer gave.")
    declared_by: str = governed(OFFICERS, description="The name of the officer who declared the placeholder.")
    declared_at: datetime = governed(OFFICERS, description="The time at which the placeholder was declared.")
    approved_by: str | None = governed(
        OFFICERS, description="The name of the officer who approved the placeholder, null until then."
    )
    approved_at: datetime | None = governed(
        OFFICERS, description="The time at which the placeholder was approved, null until then."
    )
    in_effect_from: datetime | None = governed(
        OFFICERS,
        description=(
            "The time from which the gateway ignores this placeholder when it links accounts, null until the "
            "placeholder is in effect."
        ),
    )


@strawberry.type(description="A person id or a contact that many accounts share.")
class SharedLink:
    kind: LinkKind = governed(OFFICERS, description="The kind of the link.")
    value: str = governed(OFFICERS, description="The person id, or the SHA-256 of the contact.")
    accounts: int = governed(OFFICERS, description="The number of accounts that share the person id or contact.")
    counted_at: datetime = governed(OFFICERS, description="The time at which the accounts were counted.")


Value = Annotated[
    str,
    strawberry.argument(
        description=(
            "The platform's person id, or a contact: an e-mail address, phone number or user name, or its SHA-256."
        )
    ),
]


async def resolve_placeholders(info: Info) -> list[Placeholder]:
    """Resolve `placeholders` for officers: every person id or contact that names no real person."""
    return [_placeholder_of_row(row) for row in await placeholder_rows(info.context.reader)]


async def resolve_shared_links(
    info: Info,
    first: Annotated[
        int, strawberry.argument(description="The number of person ids and contacts to return, 1 to 100.")
    ],
) -> list[SharedLink]:
    """Resolve `sharedLinks` for officers: the person ids and contacts that most accounts share."""
    rows = await shared_link_rows(info.context.reader, check_page_size(first, MAX_PAGE_SIZE))
    return [SharedLink(**row._asdict() | {"kind": LinkKind(row.kind)}) for row in rows]


async def _declare_placeholder(
    info: Info,
    kind: Annotated[LinkKind, strawberry.argument(description="The kind of the link.")],
    value: Value,
    reason: Annotated[
        str | None,
        strawberry.argument(description="The reason for the declaration; the first officer must give a reason."),
    ] = None,
) -> Placeholder:
    """Resolve the officers' mutation `declarePlaceholder`: ask for one, or agree as the second officer."""
    if reason is not None and not 0 < len(reason.strip()) <= MAX_LENGTH:
        raise BadInput(f"reason: must have 1 to {MAX_LENGTH} characters (state it in one sentence)")
    named = _shown_link_value(kind, value)
    outcome = await acting_officer(info.context).declare_placeholder(kind, named, reason)
    if outcome is ActOutcome.NO_REASON:
        raise BadInput("reason: is missing (state why the value identifies no real person)")
    if outcome is ActOutcome.SAME_OFFICER:
        raise BadInput("value: you already declared this placeholder (ask another officer to approve the placeholder)")
    row = await placeholder_of(info.context.reader, kind, named)
    if row is None:
        raise BadInput("value: was revoked by another officer in the meantime (declare it again)")
    return _placeholder_of_row(row)


async def _revoke_placeholder(
    info: Info,
    kind: Annotated[LinkKind, strawberry.argument(description="The kind of the link.")],
    value: Value,
) -> Placeholder:
    """Resolve the officers' mutation `revokePlaceholder`."""
    named = _shown_link_value(kind, value)
    row = await placeholder_of(info.context.reader, kind, named)
    outcome = await acting_officer(info.context).revoke_placeholder(kind, named)
    if outcome is None or row is None:
        raise BadInput("value: must be a declared placeholder (use a value from placeholders)")
    if outcome is ActOutcome.IN_EFFECT:
        raise BadInput(
            "value: is in effect and can no longer be revoked (open holds for the accounts that share the "
            "value, or file objections)"
        )
    return _placeholder_of_row(row)


def _shown_link_value(kind: LinkKind, value: str) -> str:
    """Return how officers see a link's value: a person id as it is, and a contact by its hash."""
    if not 0 < len(value) <= MAX_LENGTH:
        raise BadInput(f"value: must have 1 to {MAX_LENGTH} characters (use a value from sharedLinks)")
    if kind is LinkKind.PERSON:
        return value
    try:
        return read_contact(value).hashes[0]
    except ContactError as error:
        raise BadInput(f"value: {error}") from None


def _placeholder_of_row(row: PlaceholderRow) -> Placeholder:
    """Show officers a placeholder as a GraphQL object."""
    return Placeholder(**row._asdict() | {"kind": LinkKind(row.kind)})


@strawberry.type
class PlaceholderMutation:
    """The mutations on placeholders."""

    declare_placeholder: Placeholder = governed(
        OFFICERS,
        resolver=_declare_placeholder,
        description=(
            "Declares a placeholder, or approves a placeholder that another officer declared; the placeholder takes "
            "effect after the policy's waiting time for withdrawals."
        ),
    )
    revoke_placeholder: Placeholder = governed(
        OFFICERS, resolver=_revoke_placeholder, description="Revokes a placeholder that is not in effect yet."
    )
