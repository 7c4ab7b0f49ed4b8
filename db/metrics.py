"""Read the gauges of `db/sql/metrics.sql`, which an operator's monitoring shows."""

from dataclasses import dataclass
from typing import Final

from db.connection import Pool, connection

DESCRIPTIONS: Final = {
    "retraction_queue_length": "Changes for which retractions are not written yet.",
    "retraction_oldest_seconds": "Age of the oldest change for which retractions are not written yet, in seconds.",
    "retractions_unacknowledged": "Retractions that the client has not acknowledged yet.",
    "objections_unmatched": "Objections that match no known account and were neither withdrawn nor rejected.",
    "ledger_unsealed_receipts": "Receipts after the newest checkpoint, counted up to 100,000.",
    "ledger_verify_ok": "1 if the last `grounds verify` found the ledger unchanged, 0 if it did not.",
    "ledger_verified_timestamp_seconds": "Time at which `grounds verify` last ran, in seconds since 1970.",
    "holds_open": "Holds that are open.",
    "altered_media": "Media files whose SHA-256 was different from the SHA-256 in the facts.",
    "canary_incidents": "Deliveries that were stopped because they contained a canary.",
}


@dataclass(frozen=True, slots=True)
class DatabaseGauge:
    """A number that the database provides; `client` is None if the number is not about one client."""

    name: str
    client: str | None
    value: float

    @property
    def description(self) -> str:
        """Return what a gauge counts that is read from the database."""
        return DESCRIPTIONS[self.name]


async def database_gauges(pool: Pool) -> list[DatabaseGauge]:
    """Read every gauge from the database by the worker's login."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch("SELECT name, client, value FROM grounds.operating_gauges()")
    return [DatabaseGauge(row["name"], row["client"], row["value"]) for row in rows]
