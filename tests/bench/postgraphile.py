"""PostGraphile 5, from npm, in a temporary folder, as the same database role: over the same view, or over a flat table.

The flat table has the permitted items with the columns that are asked for, and nothing decides about them.
"""

import base64
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import orjson
import psycopg

from app.settings import Settings
from db.secrets import role_password
from tests.bench.contenders import CONNECTIONS, PURPOSE, Address, running
from tests.conformance.served import install_from_npm, temporary_folder

# It needs Node 22, and says nothing where an older one runs it; so it gets one of its own, which npm has as well.
PACKAGES = ("postgraphile@5", "node@24")
PROGRAM = Path(__file__).with_suffix(".mjs")
QUERY = """query Page($first: Int!, $after: Cursor) {
  allTrainableContents(first: $first, after: $after) {
    nodes { rowId kind product language createdMonth text account country ground }
    pageInfo { hasNextPage endCursor }
  }
}"""


@dataclass(frozen=True)
class PostGraphile:
    """A running PostGraphile."""

    address: Address
    order: str
    """What its cursors say of the order that they belong to."""

    def cursors(self, numbers: Sequence[int]) -> list[str]:
        """Write the cursors of items."""
        return [base64.b64encode(orjson.dumps([self.order, str(number)])).decode() for number in numbers]


@asynccontextmanager
async def flat_table(url: str) -> AsyncIterator[str]:
    """Copy what is permitted to a flat table, without any rule, and yield its schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FLAT.format(purpose=PURPOSE).encode())
        connection.execute("VACUUM ANALYZE flat.item")
        yield "flat"
        connection.execute("DROP SCHEMA flat CASCADE")


_FLAT = """DROP SCHEMA IF EXISTS flat CASCADE;
CREATE SCHEMA flat;
SELECT set_config('grounds.client', grounds.register_client('flat')::text, FALSE),
    set_config('grounds.purpose', '{purpose}', FALSE);
CREATE TABLE flat.item AS
    SELECT id, kind, product, language, created_month, text, account, country, ground, TRUE AS permitted
    FROM grounds.trainable_content;
ALTER TABLE flat.item ADD PRIMARY KEY (id);
CREATE INDEX item_permitted ON flat.item (id) WHERE permitted;
CREATE VIEW flat.trainable_content AS
    SELECT id, kind, product, language, created_month, text, account, country, ground FROM flat.item WHERE permitted;
GRANT USAGE ON SCHEMA flat TO grounds_training;
GRANT SELECT ON flat.trainable_content TO grounds_training;
"""


@asynccontextmanager
async def postgraphile(
    settings: Settings, url: str, client: int, schema: str = "grounds"
) -> AsyncIterator[PostGraphile | None]:
    """Install PostGraphile and run it as in production; None where there is no npm to install it with."""
    if shutil.which("npm") is None:
        print("PostGraphile is left out: there is no Node (install Node and npm, and run it again)")
        yield None
        return
    role = f"grounds_training:{role_password(settings.secret_bytes(), 'grounds_training')}"
    parts = urlsplit(url)
    environment = {
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "DATABASE_URL": urlunsplit(parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}")),
        "CONNECTIONS": str(CONNECTIONS),
        "CLIENT": str(client),
        "PURPOSE": PURPOSE,
        "SCHEMA": schema,
    }
    with temporary_folder() as folder:
        install_from_npm(folder, *PACKAGES)
        program = shutil.copy(PROGRAM, folder)  # where it finds the packages
        async with running([folder / "node_modules" / ".bin" / "node", program], environment) as address:
            yield PostGraphile(address, _order(address))


def _order(address: str) -> str:
    """Ask for one item, and read in its cursor what all cursors of that order begin with."""
    connection = HTTPConnection(address, timeout=60)
    body = orjson.dumps({"query": QUERY, "variables": {"first": 1}})
    connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
    page = orjson.loads(connection.getresponse().read())["data"]["allTrainableContents"]
    connection.close()
    order: str = orjson.loads(base64.b64decode(page["pageInfo"]["endCursor"]))[0]
    return order
