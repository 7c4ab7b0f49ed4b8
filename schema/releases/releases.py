"""Releases: what a client may train on, under a name, as files."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated, Final

import strawberry

from db.connection import Reader
from db.delivery.pages import Filter
from db.releases.releases import (
    MAX_RELEASES_PER_CLIENT,
    ReleaseRow,
    TooManyReleases,
    cancel_release,
    find_release,
    page_of_releases,
    start_release,
)
from db.releases.shards import filter_as_json
from schema.context import Context, Info
from schema.enums import Role, described_enum
from schema.errors import BadInput, FeatureUnavailable
from schema.governed import EXAMINERS, OFFICERS, TRAINING, governed
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind
from schema.training.filters import TrainableContentFilter, narrowed_by
from schema.training.trainable_content import raise_unless_purpose_named

_READERS: Final = (*TRAINING, *EXAMINERS)
MAX_RELEASES: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@described_enum(
    "The state of a release.",
    WRITING=(
        "The gateway is writing files, either for the first time, or again because a hold or the policy has changed."
    ),
    COMPLETE="All files are written.",
    CANCELLED="The release was cancelled, and its files are deleted.",
)
class ReleaseState(StrEnum):
    WRITING = "WRITING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"


@strawberry.type(description="A named set of Parquet files with the items on which a client may train.")
class Release:
    id: strawberry.ID = governed(_READERS, description="The id of the release, as in the path `/releases/{id}/`.")
    name: str = governed(_READERS, description="The name that the client gave.")
    client: str = governed(_READERS, description="The name of the client.")
    purpose: str = governed(_READERS, description="The purpose for which the items are permitted.")
    state: ReleaseState = governed(_READERS, description="The state of the release.")
    version: str = governed(
        _READERS,
        description="The version of the release; the major number increases when items were removed.",
    )
    policy_versions: list[str] = governed(
        _READERS, description="The versions of the policy that were used to select the items of the written files."
    )
    started_at: datetime = governed(_READERS, description="The time at which the release was started.")
    cancelled_at: datetime | None = governed(
        _READERS, description="The time at which the release was cancelled, null if it was not."
    )
    items: int = governed(_READERS, description="The number of items in the written files.")
    bytes: int = governed(_READERS, description="The size of the written files in bytes.")
    files: int = governed(_READERS, description="The number of files, including files without items.")
    files_written: int = governed(_READERS, description="The number of files that are written.")
    failure: str | None = governed(
        _READERS, description="The reason why the gateway cannot write files now, null if it can."
    )


async def resolve_release(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of the release.")]
) -> Release | None:
    """Resolve the root field `release` of the GraphQL API: a release of the client, or any for officers."""
    context = info.context
    number = context.ids.decode_as(IdKind.RELEASE, id)
    reader = await release_reader(context)
    row = None if number is None else await find_release(reader, number)
    return row and _release_of(context, row, await release_client_names(context, reader))


async def releases_page(info: Info, first: First, after: After = None) -> Connection[Release]:
    """Resolve a page of the client's releases, or of all releases for officers, in the order they were started."""
    context = info.context
    reader = await release_reader(context)
    start = read_cursor(context.ids, IdKind.RELEASE_CURSOR, after)
    rows, has_next = await page_of_releases(reader, start, check_page_size(first, MAX_RELEASES))
    names = await release_client_names(context, reader)
    cursors = context.ids.encode_all(IdKind.RELEASE_CURSOR, [row.id for row in rows])
    return connection_of_objects([_release_of(context, row, names) for row in rows], cursors, after, has_next=has_next)


async def _start(
    info: Info,
    name: Annotated[
        str,
        strawberry.argument(description="A name that no other release of the client has; the public page shows it."),
    ],
    filter: Annotated[
        TrainableContentFilter | None,
        strawberry.argument(
            description="A filter for the items of the release; without a filter, the release"
            " contains all permitted items."
        ),
    ] = None,
) -> Release:
    """Resolve the mutation `startRelease`: plan a release, whose files a background job writes."""
    context, purpose = info.context, info.context.actor.purpose
    if find_spec("pyarrow") is None:
        raise FeatureUnavailable(
            "startRelease: this gateway cannot write files because the package pyarrow is missing (ask the operator to"
            " install it with `./run --with release grounds serve`, or with `pip install 'grounds[release]'`)"
        )
    if not _NAME.fullmatch(name):
        raise BadInput("name: must be 1 to 100 letters, digits, dots, hyphens or underscores (correct it)")
    raise_unless_purpose_named(context, await context.gateway.policy_in_force())
    narrowed = Filter() if filter is None else await narrowed_by(context, filter)
    client, reader = await context.client(), await release_reader(context)
    about = client, str(purpose), name, filter_as_json(narrowed), context.gateway.items_per_shard
    try:
        number = await start_release(context.database.training, *about)
    except TooManyReleases:
        raise BadInput(
            f"startRelease: this client has {MAX_RELEASES_PER_CLIENT} releases already (cancel one with "
            f"`cancelRelease`)"
        ) from None
    if number is None:
        raise BadInput("name: another release of this client has this name (choose another name)")
    row = await find_release(reader, number)
    assert row is not None, "a release stays"
    return _release_of(context, row, {})


async def _cancel(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of the release.")]
) -> Release:
    """Resolve the mutation `cancelRelease`: give a release up, as its client or as an officer."""
    context = info.context
    number = context.ids.decode_as(IdKind.RELEASE, id)
    if context.actor.role is Role.TRAINING_CLIENT:
        pool, claims = context.database.training, {"client": str(await context.client())}
    else:
        pool = context.database.staff
        claims = {"examiner": str(context.actor.role), "officer": context.actor.name}
    if number is None or not await cancel_release(pool, number, **claims):
        raise BadInput("id: there is no such release (query `releases` for the ids of releases)")
    reader = await release_reader(context)
    row = await find_release(reader, number)
    assert row is not None, "a release stays"
    return _release_of(context, row, await release_client_names(context, reader))


@strawberry.type
class ReleaseMutation:
    start_release: Release = governed(
        TRAINING,
        resolver=_start,
        description="Starts a release of this client; background jobs write its files.",
    )
    cancel_release: Release = governed(
        (*TRAINING, *OFFICERS), resolver=_cancel, description="Cancels a release and deletes its files."
    )


async def release_reader(context: Context) -> Reader:
    """Return what resolvers read releases through: a training client its own, officers and auditors all."""
    if context.actor.role is Role.TRAINING_CLIENT:
        return context.database.client(await context.client())
    return context.reader


async def release_client_names(context: Context, reader: Reader) -> Mapping[int, str]:
    """Return the names of clients for officers, who see releases of all of them."""
    if context.actor.role is Role.TRAINING_CLIENT:
        return {}
    rows: Sequence[tuple[int, str]] = [tuple(row) for row in await reader.fetch("SELECT id, name FROM grounds.client")]
    return dict(rows)


def _release_of(context: Context, row: ReleaseRow, names: Mapping[int, str]) -> Release:
    """Show a release as a GraphQL object."""
    state = ReleaseState.WRITING if row.written < row.shards else ReleaseState.COMPLETE
    return Release(
        id=strawberry.ID(context.ids.encode(IdKind.RELEASE, row.id)),
        name=row.name,
        client=names.get(row.client) or str(context.actor.client),
        purpose=row.purpose,
        state=state if row.cancelled_at is None else ReleaseState.CANCELLED,
        version=row.version,
        policy_versions=row.policies,
        started_at=row.started_at,
        cancelled_at=row.cancelled_at,
        items=row.items,
        bytes=row.byte_count,
        files=row.shards,
        files_written=row.written,
        failure=row.failure,
    )
