"""The facts of one item that is permitted, for a test to vary in one respect, and what the oracle makes of them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.promises.oracle import ALL_FEATURES, DEFAULT_POLICY, Decision, Features, World

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HASH = "a" * 64
SCANS = {"special_category": "CLEAR", "safety": "CLEAR", "minors": "CLEAR"}
FACTS: dict[str, dict[str, Any]] = {
    "account": {"id": "author", "product": "FACEBOOK", "kind": "PERSONAL", "born_on": "1990-01-01", "country": "IE"}
    | {"status": "ACTIVE", "status_since": "2020-01-01T00:00:00Z", "compromised": [], "contacts": []},
    "content": {"id": "item", "account": "author", "kind": "POST", "text": "A heron stood by the weir.", "media": []}
    | {"audience": "PUBLIC", "audience_since": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z"}
    | {"references": [], "rights": [], "scans": SCANS},
    "notice": {"id": "notice", "account": "author", "channel": "IN_APP", "epoch": "2025-04"}
    | {"delivered_at": "2025-04-14T09:59:00Z"},
    "objection": {"id": "objection", "scope": "ALL", "received_at": "2024-06-10T00:00:00Z", "channel": "FORM"},
    "campaign": {},
    "consent": {"id": "consent", "account": "author", "given_at": "2026-01-01T00:00:00Z"},
}
OPTED_IN_POLICY = DEFAULT_POLICY | {"grounds": {"OPTED_IN": {"kinds": ["POST"], "products": ["FACEBOOK"]}}}


def fact(record: str, day: int = 2, **fields: Any) -> dict[str, Any]:
    """Return a record observed on a day of January 2026, with some fields stated otherwise."""
    prompt = {"conversation": "ASSISTANT_ONLY"} if fields.get("kind") == "AI_INTERACTION" else {}
    return {"record": record, "observed_at": f"2026-01-{day:02}T00:00:00Z"} | FACTS[record] | prompt | fields


def line(record: str, day: int = 2, **fields: Any) -> str:
    """Return a record as a line; see `fact`."""
    return json.dumps(fact(record, day, **fields))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def world(
    *lines: str,
    policy: dict[str, Any] = DEFAULT_POLICY,
    at: datetime = NOW - 60 * DAY,
    features: Features = ALL_FEATURES,
) -> World:
    """Return an oracle's world whose only item is permitted, with further lines loaded after it."""
    made = World(policy, features)
    for each in (line("account"), line("content"), line("notice")):
        assert made.load(each, at) == "accepted"
    for each in lines:
        made.load(each, at)
    return made


def decided(*lines: str, now: datetime = NOW, item: str = "item", **given: Any) -> Decision:
    return world(*lines, **given).decide(item, now)
