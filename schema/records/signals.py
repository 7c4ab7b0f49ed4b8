"""The signals about an item or an account: what each says of training, where and when it was seen."""

import json
from datetime import datetime
from typing import Any

import strawberry

from schema.enums import RightsSource, TrainingStatement
from schema.governed import EXAMINERS_AND_OWNER, governed

_STATEMENTS = {"y": TrainingStatement.ALLOWED, "n": TrainingStatement.RESERVED, "unknown": TrainingStatement.UNKNOWN}


@strawberry.type(
    description="A signal as it was found, or a right that the platform stated, and what it says of training."
)
class RightsSignal:
    source: RightsSource | None = governed(
        EXAMINERS_AND_OWNER,
        description="The standard in which it speaks of training, null where it says nothing of it.",
    )
    statement: TrainingStatement | None = governed(EXAMINERS_AND_OWNER, description="What it says of training.")
    reserves: bool = governed(EXAMINERS_AND_OWNER, description="Whether it reserves after its standard was settled.")
    form: str | None = governed(
        EXAMINERS_AND_OWNER, description="The form in which it was found, null where the platform stated a right."
    )
    location: str | None = governed(EXAMINERS_AND_OWNER, description="The place where it was found.")
    path: str | None = governed(EXAMINERS_AND_OWNER, description="The path of the item to which it applies.")
    seen_at: datetime | None = governed(EXAMINERS_AND_OWNER, description="The time at which it was seen.")
    fault: str | None = governed(
        EXAMINERS_AND_OWNER, description="The reason for which it could not be read, null where it could."
    )


def signals_of(kept: str | None) -> list[RightsSignal]:
    """Show signals as they are stored."""
    return [_signal(signal) for signal in json.loads(kept or "[]")]


def _signal(kept: dict[str, Any]) -> RightsSignal:
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
