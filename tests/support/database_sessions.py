"""Sessions of the administrator and of background work, each in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from db.access.declaration import WORKER
from db.connection import Connection
from db.secrets import role_password
from tests.support.gateway import SECRET


@asynccontextmanager
async def administering(url: str) -> AsyncIterator[Connection]:
    """Connect as the administrator; what is done is taken back at the end."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@asynccontextmanager
async def working(url: str) -> AsyncIterator[Connection]:
    """Connect as background work does, in a transaction."""
    connection = await asyncpg.connect(url, user=WORKER, password=role_password(SECRET, WORKER))
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()
