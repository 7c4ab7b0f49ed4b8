"""The types of connections, for modules that the module of pools imports itself."""

from typing import TYPE_CHECKING

import asyncpg
import asyncpg.pool

if TYPE_CHECKING:  # generic in the stubs only
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Connections = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Connections = asyncpg.Pool
