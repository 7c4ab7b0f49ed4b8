"""The names of the database's roles. A prefix of their own lets several gateways share one PostgreSQL server.

The code names the roles with the prefix `grounds`. The names in a database follow from the owner of its schema.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import psycopg

DEFAULT_PREFIX: Final = "grounds"
BECOME_OWNER: Final = (
    "SELECT set_config('role', n.nspowner::regrole::text, TRUE) FROM pg_namespace n WHERE n.nspname = 'grounds'"
)
"""The statement that takes on the rights of the owner until the transaction ends."""
_ROLE: Final = re.compile(r"\bgrounds_(owner|training|staff|subject|dashboard|ingest|worker)\b")
_OWNER_OF_SCHEMA: Final = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'grounds'"


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The names of a database's roles, which begin with a prefix."""

    prefix: str = DEFAULT_PREFIX

    def of(self, statement: str) -> str:
        """Return a role's name, or an SQL statement, with the names that the roles have in this database."""
        return _ROLE.sub(rf"{self.prefix}_\1", statement)

    def declared(self, found: Any) -> Any:
        """Return a value of the catalogue that names a role of this database with the name that the code gives it.

        A role of another gateway on the server keeps its name, and differs from every role that the code names.
        """
        if not isinstance(found, str) or self.prefix == DEFAULT_PREFIX:
            return found
        foreign = _ROLE.sub(r"\g<0> of another gateway", found)
        own = _ROLE.pattern.replace(DEFAULT_PREFIX, self.prefix)
        return re.sub(own, rf"{DEFAULT_PREFIX}_\1", foreign)

    def of_file(self, source: bytes) -> bytes:
        """Return the SQL of a file with the names that the roles have in this database."""
        return self.of(source.decode()).encode()


def role_names(connection: psycopg.Connection) -> RoleNames | None:
    """Read the names of the roles from a database; None if it is not set up."""
    return _names_of(connection.execute(_OWNER_OF_SCHEMA).fetchone())


async def read_role_names(url: str) -> RoleNames:
    """Read the names of the roles of a database from its catalogue, before any of the roles logs in."""
    connection = await asyncpg.connect(url)
    try:
        names = _names_of(await connection.fetchrow(_OWNER_OF_SCHEMA))
    finally:
        await connection.close()
    return names or RoleNames()


def _names_of(owner: tuple[str] | asyncpg.Record | None) -> RoleNames | None:
    """Return the names of the roles of a database whose schema has this owner."""
    return RoleNames(owner[0].removesuffix("_owner")) if owner else None
