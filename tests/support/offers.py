"""The offers of a gateway, folded and built when a test says so, and compared with what the rules permit."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from tests.support.database_pauses import job_stopped
from tests.support.gateway import TestGateway
from tests.support.shared_server import SharedServer

# Whole rows are compared: an offer of an older text is one too many.
OFFERED, PERMITTED = (
    f"SELECT v.id, v::text FROM grounds.{view} v" for view in ("offered_content", "trainable_content")
)
TOO_MANY = f"SELECT id FROM ({OFFERED} EXCEPT {PERMITTED}) too_many"
MISSING = f"SELECT id FROM ({PERMITTED} EXCEPT {OFFERED}) missing"
PURPOSES = "SELECT unnest(grounds.policy_purposes())"

_NO_FOLD = """CREATE OR REPLACE FUNCTION grounds.fold_ingested(at_most int) RETURNS int LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 0'"""

Found = list[tuple[str, int]]


class Offers:
    """The offers of a gateway."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.seen: Counter[str] = Counter()

    def fold(self) -> None:
        """Fold every mark, build every set, and give every position."""
        while sum(self.step(function, 1000) for function in ("fold_offers", "build_offers", "number_offers")):
            pass
        assert self._values("SELECT DISTINCT state FROM grounds.offer_set") == ["SERVING"]

    def step(self, function: str, at_most: int) -> int:
        """Fold or build so much; return how much was done."""
        (done,) = self._values(f"SELECT grounds.{function}({at_most})")
        return int(done)

    def too_many(self) -> Found:
        """Find what is offered and not permitted: purposes and items."""
        return self._compare(TOO_MANY)

    def missing(self) -> Found:
        """Find what is permitted and not offered: purposes and items."""
        return self._compare(MISSING)

    def _compare(self, query: str) -> Found:
        found: Found = []
        for purpose in self._values(PURPOSES):
            self.connection.execute("SELECT set_config('grounds.purpose', %s, FALSE)", [purpose])
            found += [(str(purpose), int(item)) for item in self._values(query)]
        return found

    def count(self) -> int:
        """Count what is offered for the purpose that was compared last."""
        (count,) = self._values("SELECT count(*) FROM grounds.offered_content")
        return int(count)

    def _values(self, query: str) -> list[Any]:
        return [value for (value,) in self.connection.execute(query.encode()).fetchall()]


@asynccontextmanager
async def offers_of(gateway: TestGateway) -> AsyncIterator[Offers]:
    """Keep the job and ingests from the offers of a gateway, and claim what a training client claims."""
    async with job_stopped(gateway, "offers"):
        gateway.execute(_NO_FOLD)
        with psycopg.connect(gateway.database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT set_config('jit', 'off', FALSE), set_config('enable_seqscan', 'off', FALSE),"
                " set_config('grounds.client', grounds.register_client('client')::text, FALSE)"
            )
            yield Offers(connection)


@pytest.fixture
async def offering(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway that reads its pages from offers."""
    async with shared_server.gateway(offers=True) as opened:
        yield opened
