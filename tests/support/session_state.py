"""What a database session can hold over from one borrower to the next, seen against a connection that is new."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from typing import Any

import psycopg

from db.connection import Connection, Database, Pool, open_database
from tests.support.gateway import SECRET

# What a database can hold of a session; pg_settings leaves claims out, so they are asked for by name.
STATE = """SELECT json_build_object(
    'user', current_user, 'login', session_user, 'role', current_setting('role'),
    'claims', (SELECT json_agg(nullif(current_setting(name, TRUE), '')) FROM unnest($1::text[]) name),
    'settings', (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings WHERE source <> 'default'),
    'advisory locks', (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
    'temporary tables', (SELECT json_agg(relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema()
        AND relkind = 'r' AND (relname NOT LIKE 'stage\\_%' OR pg_relation_size(oid) > 0)),
    'prepared statements', (SELECT json_agg(name) FROM pg_prepared_statements WHERE from_sql),
    'cursors', (SELECT json_agg(name) FROM pg_cursors WHERE name <> ''),
    'channels', (SELECT json_agg(name) FROM pg_listening_channels() name))::text"""
CLAIMS = """SELECT DISTINCT 'grounds.' || found[1] FROM (
    SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = 'grounds'::regnamespace AND relkind = 'v'
    UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'grounds'::regnamespace
    UNION ALL SELECT concat(qual, with_check) FROM pg_policies WHERE schemaname = 'grounds') reading (text),
    regexp_matches(text, '(?:current_setting\\(''grounds\\.|claim\\('')(\\w+)''', 'g') found"""


def pools(database: Database) -> dict[str, Pool]:
    found = {each.name: getattr(database, each.name) for each in fields(database)}
    return {name: pool for name, pool in found.items() if isinstance(pool, Pool)}


async def state(borrowed: Connection, claims: list[str]) -> dict[str, Any]:
    """Read all that a session can hold over; its settings stand beside the rest."""
    found: dict[str, Any] = {"transaction": borrowed.is_in_transaction()}
    found |= json.loads(await borrowed.fetchval(STATE, claims))
    return found | {f"setting {name}": value for name, value in found.pop("settings").items()}


def differences(found: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    return [name for name in found.keys() | fresh.keys() if found.get(name) != fresh.get(name)]


@dataclass
class Inspection:
    """The state of a new connection of each pool, for comparison with those of a running gateway."""

    database: Database
    claims: list[str]
    fresh: dict[str, dict[str, Any]]
    inspected: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @classmethod
    async def open(cls, database_url: str, database: Database) -> "Inspection":
        """See what new connections look like, by every claim that the database's own rules read."""
        with psycopg.connect(database_url) as connection:
            claims = sorted(row[0] for row in connection.execute(CLAIMS))
        fresh = {}
        async with open_database(database_url, SECRET, connections=1) as new:
            for name, pool in pools(new).items():
                async with pool.connections.acquire() as borrowed:
                    fresh[name] = await state(borrowed, claims)
        return cls(database, claims, fresh)

    async def watch(self, over: asyncio.Event) -> None:
        """Take a connection of each pool, as anybody does, every now and then."""
        while not over.is_set():
            for name, pool in pools(self.database).items():
                async with pool.connections.acquire(timeout=60) as borrowed:
                    await self._inspect(name, borrowed)
            await asyncio.sleep(0.1)

    async def all_at_once(self) -> None:
        """Take every connection of every pool."""
        for name, pool in pools(self.database).items():
            async with AsyncExitStack() as stack:
                for _ in range(pool.connections.get_max_size()):
                    await self._inspect(name, await stack.enter_async_context(pool.connections.acquire(timeout=60)))

    async def _inspect(self, name: str, borrowed: Connection) -> None:
        self.inspected += 1
        for difference in differences(await state(borrowed, self.claims), self.fresh[name]):
            self.faults[f"left over in pool {name}: {difference}"] += 1
