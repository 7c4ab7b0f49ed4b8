"""The models that clients state to have trained with an item: what they said, and who has said nothing."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from db.releases.runs import ItemRunRow
from schema.context import Context
from schema.governed import EXAMINERS, SUBJECTS, governed
from schema.relay.ids import IdKind


@strawberry.type(description="A model that was trained with an item, according to a client.")
class StatedModel:
    model: str = governed(EXAMINERS, description="The name of the model.")
    started_at: datetime = governed(EXAMINERS, description="The time at which the training started.")
    release: str | None = governed(
        EXAMINERS,
        description="The name of the release that the client used, null if the client named receipts instead of a "
        "release.",
    )
    version: str | None = governed(
        EXAMINERS,
        description="The version of the release that the client used, null if the client named receipts.",
    )


@strawberry.type(description="A model that was trained with items of the data subject, according to a client.")
class OwnStatedModel:
    model: str = governed(SUBJECTS, description="The name of the model.")
    started_at: datetime = governed(SUBJECTS, description="The time at which the training started.")
    content_ids: list[strawberry.ID] = governed(SUBJECTS, description="The ids of the items that the client used.")


def stated_models(rows: Sequence[ItemRunRow]) -> list[StatedModel]:
    """Show the training runs that used an item to officers."""
    return [
        StatedModel(model=row.model, started_at=row.started_at, release=row.release, version=row.version)
        for row in rows
    ]


def own_stated_models(
    context: Context,
    runs: dict[tuple[int, str, str], list[ItemRunRow]],
    client: str,
    purpose: str,
    items: Sequence[int],
) -> list[OwnStatedModel]:
    """Show a data subject the training runs of a client that used some items."""
    used: dict[tuple[datetime, str], list[int]] = {}
    for item in items:
        for row in runs.get((item, client, purpose), ()):
            of_run = used.setdefault((row.started_at, row.model), [])
            if item not in of_run:
                of_run.append(item)
    return [
        OwnStatedModel(
            model=model,
            started_at=started_at,
            content_ids=[strawberry.ID(id) for id in context.ids.encode_all(IdKind.CONTENT, of_run)],
        )
        for (started_at, model), of_run in sorted(used.items())
    ]
