"""The signals about an item or an account: what each says of training, where and when it was seen."""

import json
from datetime import datetime
from typing import Any

import strawberry

from schema.enums import RightsSource, TrainingStatement
from schema.governed import EXAMINERS_AND_OWNER, governed

_STATEMENTS = {"y": TrainingStatement.ALLOWED, "n": TrainingStatement.RESERVED, "unknown": TrainingStatement.UNKNOWN}


@strawberry.type(
    description=(
        "A signal about training that the platform found with an item or an account, or a rights statement of"
        " the platform."
    )
)
class RightsSignal:
    source: RightsSource | None = governed(
        EXAMINERS_AND_OWNER,
        description="The standard that the signal follows, null if the signal says nothing about training.",
    )
    statement: TrainingStatement | None = governed(
        EXAMINERS_AND_OWNER,
        description="The meaning of the signal for training, null if the signal says nothing about training.",
    )
    reserves: bool = governed(
        EXAMINERS_AND_OWNER,
        description=("Whether all signals of this standard together opt the item out of training."),
    )
    form: str | None = governed(
        EXAMINERS_AND_OWNER,
        description="The format in which the signal was found, null for a rights statement of the platform.",
    )
    location: str | None = governed(
        EXAMINERS_AND_OWNER, description="The place where the signal was found, null if unknown."
    )
    path: str | None = governed(
        EXAMINERS_AND_OWNER,
        description="The path of the item, null if the standard has the same rule for all paths.",
    )
    seen_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time at which the signal was seen, null if unknown."
    )
    fault: str | None = governed(
        EXAMINERS_AND_OWNER, description="The reason why the signal could not be read, null if it could be read."
    )


def signals_of(kept: str | None) -> list[RightsSignal]:
    """Show the signals recorded for an item or account as GraphQL objects."""
    return [_signal(signal) for signal in json.loads(kept or "[]")]


def _signal(kept: dict[str, Any]) -> RightsSignal:
    """Show one signal recorded for an item or account as a GraphQL object."""
    source, statement, seen_at = (kept.get(name) for name in ("source", "train_ai", "seen_at"))
    return RightsSignal(
        source=RightsSource(source) if source else None,
        statement=_STATEMENTS[statement] if statement else None,
        reserves=bool(kept.get("reserves")),
        form=kept.get("standard"),
        location=kept.get("location"),
        path=kept.get("path"),
        seen_at=datetime.fromisoformat(seen_at) if seen_at else None,
        fault=kept.get("fault"),
    )
