"""The canaries of the demo: planted items that look like other items but can never qualify."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from app.demo.frequencies import SCANNERS
from app.demo.phrases import compose_text

_REASONS = (
    "A minor posted it.",
    "The item is a private message.",
    "The author of the item objected to the use of all content.",
)


def demo_canaries(items: int) -> dict[str, str]:
    """Return the id of each item that the demo plants, and why it can never qualify; no other item has these ids."""
    return {f"content-{3 * items + place}": reason for place, reason in enumerate(_REASONS, 1)}


def canary_lines(items: int, now: datetime) -> Iterator[bytes]:
    """Yield the demo's NDJSON lines of each planted item: its account, a notice, and for the objector an objection.

    `now` has an offset; every instant is some days before it.
    """
    minors, message, objectors = demo_canaries(items)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    ago = {days: midnight - timedelta(days=days) for days in (2, 200, 300, 900)}
    for place, item in enumerate((minors, message, objectors), 1):
        account = f"account-{3 * items + place}"
        born = f"{now.year - 15}-03-09" if item == minors else "1988-03-09"
        yield from (
            orjson.dumps({**record, "observed_at": ago[2]}, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
            for record in (
                _account(account, born, ago[900]),
                _notice(account, ago[300]),
                _content(item, account, "PRIVATE_MESSAGE" if item == message else "POST", ago[200]),
            )
        )
    objection = {"record": "objection", "id": f"objection-{3 * items}", "account": f"account-{3 * items + 3}"}
    objection |= {"scope": "ALL", "channel": "FORM"}
    yield orjson.dumps(
        {**objection, "received_at": ago[300], "observed_at": ago[2]},
        option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE,
    )


def _account(account: str, born: str, since: datetime) -> dict[str, Any]:
    """Make up the account of an item that the demo plants."""
    described = {"person": None, "product": "FACEBOOK", "kind": "PERSONAL", "born_on": born, "country": "DE"}
    state = {"status": "ACTIVE", "status_since": since, "compromised": [], "contacts": []}
    return {"record": "account", "id": account, **described, **state}


def _notice(account: str, delivered: datetime) -> dict[str, Any]:
    """Make up the notice to an account whose item the demo plants."""
    named = {"record": "notice", "id": f"notice-of-{account}", "account": account, "channel": "IN_APP"}
    return {**named, "epoch": "2025-04", "sent_at": delivered, "delivered_at": delivered}


def _content(item: str, account: str, kind: str, created: datetime) -> dict[str, Any]:
    """Make up an item that the demo plants."""
    draw = Random(item).random  # noqa: S311 - the text is no secret, it has to come out the same each time
    seen = {"audience": "ONLY_ME" if kind == "PRIVATE_MESSAGE" else "PUBLIC", "audience_since": created}
    said = {"language": "de", "text": compose_text(kind, "de", draw), "media": [], "created_at": created}
    checked = {"references": [], "rights": [], "scans": dict.fromkeys(SCANNERS, "CLEAR")}
    return {"record": "content", "id": item, "account": account, "kind": kind, **seen, **said, **checked}
