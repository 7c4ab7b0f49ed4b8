"""Replay the journal into a restored database: store the newest version of each row in the journal."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from db.access.role_names import BECOME_OWNER
from db.journal.files import Entry

_KEYS: Final = {
    "objection": ("platform_id",),
    "objection_target": ("objection", "kind", "value"),
    "hold": ("scope", "value", "authority", "reason", "opened_at", "opened_by"),
    "consent": ("platform_id",),
    "content": ("platform_id",),
    "account": ("platform_id",),
}
"""The columns that identify a row of each table. The tables are in the order in which they are replayed."""
_BATCH_SIZE: Final = 500


def replay_journal(connection: psycopg.Connection, entries: Iterable[Entry]) -> Counter[str]:
    """Replay the journal in the administrator's transaction; count by table the rows that the database lacked.

    It can be repeated: what the database says as late or later stays.
    """
    last: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table: {} for table in _KEYS}
    for table, row in entries:
        key = tuple(row[name] for name in _KEYS[table])
        if key not in last[table] or _stated_at(row) >= _stated_at(last[table][key]):
            last[table].pop(key, None)
            last[table][key] = row
    replayed: Counter[str] = Counter()
    connection.execute(BECOME_OWNER)
    connection.execute("SET LOCAL grounds.job = 'replay'")
    for table, rows in last.items():
        waiting = list(rows.values())
        for start in range(0, len(waiting), _BATCH_SIZE):
            found = connection.execute(_REPLAY, [table, Jsonb(waiting[start : start + _BATCH_SIZE])]).fetchone()
            replayed[table] += found[0] if found else 0
    return +replayed


def _stated_at(row: dict[str, Any]) -> datetime:
    """Return the time of a row of the journal, by which the rows in the files of several hosts are sorted."""
    stated: str | None = row.get("recorded_at") or row.get("observed_at")
    return datetime.fromisoformat(stated) if stated else datetime.min.replace(tzinfo=UTC)


_REPLAY: Final = """
SELECT count(*) FILTER (WHERE grounds.replay_entry(%s, e.entry))
FROM jsonb_array_elements(%s) WITH ORDINALITY e (entry, place)
"""
