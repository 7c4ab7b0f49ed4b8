"""Training runs: a client states which model it trained on which deliveries, and officers see that."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import strawberry

from db.releases.runs import RunRow, UsedVersion, page_of_runs, record_run
from schema.context import Context, Info
from schema.errors import BadInput
from schema.governed import EXAMINERS, TRAINING, governed
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind
from schema.releases.releases import MAX_RELEASES, release_client_names, release_reader

_READERS: Final = (*TRAINING, *EXAMINERS)
_MAX_MODEL_LENGTH: Final = 200
_MAX_INPUTS: Final = 1000
_VERSION: Final = re.compile(r"([1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.0")


@strawberry.input(description="A release that a training run used.")
class ReleaseInput:
    id: strawberry.ID = strawberry.field(description="The id of the release.")
    version: str | None = strawberry.field(
        default=None, description="The version that the run used, such as 1.0.0; by default, the current version."
    )


@strawberry.input(
    description="An interval of receipts in the order of delivery, including its first and its last receipt."
)
class ReceiptInterval:
    first: strawberry.ID = strawberry.field(description="The id of the first receipt.")
    last: strawberry.ID = strawberry.field(description="The id of the last receipt.")


@strawberry.type(description="A release in the version that a training run used.")
class UsedRelease:
    id: strawberry.ID = governed(_READERS, description="The id of the release.")
    name: str = governed(_READERS, description="The name of the release.")
    version: str = governed(_READERS, description="The version that the run used.")
    is_superseded: bool = governed(_READERS, description="Whether there is a later version of the release.")


@strawberry.type(description="A training run, as the client described it.")
class TrainingRun:
    id: strawberry.ID = governed(_READERS, description="The id of the run.")
    client: str = governed(_READERS, description="The name of the client.")
    model: str = governed(_READERS, description="The name of the model.")
    purpose: str = governed(_READERS, description="The purpose of the run.")
    started_at: datetime = governed(_READERS, description="The time at which the run started.")
    recorded_at: datetime = governed(_READERS, description="The time at which the client recorded the run.")
    releases: list[UsedRelease] = governed(_READERS, description="The releases that the run used.")
    receipt_intervals: int = governed(
        _READERS, description="The number of ranges of consecutive receipts that the run used."
    )


async def runs_page(info: Info, first: First, after: After = None) -> Connection[TrainingRun]:
    """Resolve a page of the client's training runs, or of all for officers, in the order they were recorded."""
    context = info.context
    reader = await release_reader(context)
    start = read_cursor(context.ids, IdKind.TRAINING_RUN_CURSOR, after)
    rows, has_next = await page_of_runs(reader, start, check_page_size(first, MAX_RELEASES))
    names = await release_client_names(context, reader)
    cursors = context.ids.encode_all(IdKind.TRAINING_RUN_CURSOR, [row.id for row in rows])
    nodes = [_run_of(context, row, names.get(row.client) or str(context.actor.client)) for row in rows]
    return connection_of_objects(nodes, cursors, after, has_next=has_next)


async def _record(
    info: Info,
    model: Annotated[
        str,
        strawberry.argument(
            description="The name of the model, as in its documentation; the public page shows the name."
        ),
    ],
    started_at: Annotated[datetime, strawberry.argument(description="The time at which the run started.")],
    purpose: Annotated[
        str, strawberry.argument(description="The purpose of the run, which must be a purpose of the policy.")
    ],
    releases: Annotated[
        list[ReleaseInput] | None,
        strawberry.argument(description="The releases that the run used."),
    ] = None,
    receipts: Annotated[
        list[ReceiptInterval] | None,
        strawberry.argument(description="The receipts of the pages and files that the run used."),
    ] = None,
) -> TrainingRun:
    """Resolve the mutation `recordRun`: store what a client states of a training run."""
    context = info.context
    await _check_run(context, model, started_at, purpose, len(releases or ()) + len(receipts or ()))
    used = [
        UsedVersion(_decode_used(context, IdKind.RELEASE, each.id, "releases"), _version(each))
        for each in releases or ()
    ]
    intervals = [_decode_interval(context, each) for each in receipts or ()]
    recorded = await record_run(
        context.database.training, await context.client(), model, purpose, started_at, used, intervals
    )
    if recorded is None:
        raise BadInput(
            "releases, receipts: must name only what this client received for this purpose (get the files of the "
            "release "
            "first, or use the receipts of the pages)"
        )
    (row,), _ = await page_of_runs(await release_reader(context), 0, 1, recorded)
    return _run_of(context, row, str(context.actor.client))


@strawberry.type
class RunMutation:
    record_run: TrainingRun = governed(
        TRAINING,
        resolver=_record,
        description="Records which model this client trained, and with which releases or receipts.",
    )


async def _check_run(context: Context, model: str, started_at: datetime, purpose: str, inputs: int) -> None:
    """Check what a client states of a training run. Raises BadInput."""
    if not model.strip() or len(model) > _MAX_MODEL_LENGTH or not model.isprintable():
        raise BadInput(f"model: must be 1 to {_MAX_MODEL_LENGTH} printable characters (correct it)")
    if started_at.tzinfo is None or started_at > datetime.now(UTC):
        raise BadInput("startedAt: must be a time in the past, with an offset (write it like 2026-12-01T00:00:00Z)")
    purposes = (await context.gateway.policy_in_force()).purposes
    if purpose not in purposes:
        raise BadInput(f"purpose: must be {' or '.join(purposes)} (correct it)")
    if not 1 <= inputs <= _MAX_INPUTS:
        raise BadInput(f"releases, receipts: must have 1 to {_MAX_INPUTS} entries together (list what the run used)")


def _decode_used(context: Context, kind: IdKind, id: strawberry.ID, argument: str) -> int:
    """Decode an id that a client names in a statement about a training run. Raises BadInput."""
    number = context.ids.decode_as(kind, id)
    if number is None:
        raise BadInput(f"{argument}: must contain ids that this client received (copy them unchanged)")
    return number


def _decode_interval(context: Context, stated: ReceiptInterval) -> tuple[int, int]:
    """Decode the interval of receipts that a client names in a statement about a training run. Raises BadInput."""
    first = _decode_used(context, IdKind.RECEIPT, stated.first, "receipts")
    last = _decode_used(context, IdKind.RECEIPT, stated.last, "receipts")
    if first > last:
        raise BadInput("receipts: the first receipt of an interval must not be later than the last (swap them)")
    return first, last


def _version(used: ReleaseInput) -> tuple[int, int] | None:
    """Parse the version of a release that a training run used; None for the version now. Raises BadInput."""
    if used.version is None:
        return None
    parts = _VERSION.fullmatch(used.version)
    if parts is None:
        raise BadInput(
            "releases: a version must have the form 1.0.0 (copy the version from the manifest of the release)"
        )
    return int(parts[1]), int(parts[2])


def _run_of(context: Context, row: RunRow, client: str) -> TrainingRun:
    """Show a training run as a GraphQL object."""
    used = zip(row.releases, row.names, row.versions, row.superseded, strict=True)
    return TrainingRun(
        id=strawberry.ID(context.ids.encode(IdKind.TRAINING_RUN, row.id)),
        client=client,
        model=row.model,
        purpose=row.purpose,
        started_at=row.started_at,
        recorded_at=row.recorded_at,
        releases=[
            UsedRelease(
                id=strawberry.ID(context.ids.encode(IdKind.RELEASE, id)),
                name=name,
                version=version,
                is_superseded=superseded,
            )
            for id, name, version, superseded in used
        ],
        receipt_intervals=row.receipt_intervals,
    )
