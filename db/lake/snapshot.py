"""What decisions on a lake read besides the facts: the policy, the clock, the client, the holds and the campaigns."""

from datetime import timedelta

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict

from db.connection import Connection
from db.deidentification.text import PIPELINE_VERSION
from db.policy.document import Policy, parse_policy, sql_instant
from db.policy.parameters import (
    TOLD_OF_PURPOSE,
    Parameters,
    fixed_parameters,
    live_parameters,
    text_array,
    waiting_hours,
)


class Snapshot(BaseModel):
    """The rules and their values at the instant of a lake's export, for one client and purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Policy
    pipeline: int
    """The version of the de-identification that exported the lake."""
    decided_at: AwareDatetime
    client: str
    purpose: str
    superseded: bool
    client_suspended: bool
    global_hold: bool
    held_countries: list[str]
    held_products: list[str]
    told: dict[str, list[str]]
    """The campaigns that announced the purpose, by the kind and the product of items."""

    def parameters(self) -> Parameters:
        """Return the SQL for each name in braces of a condition's rule: literals, and columns of the lake."""
        return fixed_parameters(self.policy) | {
            "now": sql_instant(self.decided_at),
            **{
                f"{name}_cutoff": sql_instant(self.decided_at - timedelta(hours=hours))
                for name, hours in waiting_hours(self.policy).items()
            },
            "superseded": _truth(self.superseded),
            "client_suspended": _truth(self.client_suspended),
            "global_hold": _truth(self.global_hold),
            "claimed_purpose": text_array([self.purpose]),
            "held_countries": f"ARRAY[{text_array(self.held_countries)}]::text[]",
            "held_products": f"ARRAY[{text_array(self.held_products)}]::text[]",
            "pipeline": str(self.pipeline),
            "parents_public": "parents.are_public",
            "told": "told.epochs",
        }


async def read_snapshot(connection: Connection, client: str, purpose: str) -> Snapshot:
    """Read what decisions for the claimed client and purpose read besides the facts, in one statement."""
    policy = parse_policy(await connection.fetchval("SELECT p.document::text FROM grounds.policy p WHERE p.active"))
    asked = live_parameters(policy, "FALSE")
    row = await connection.fetchrow(
        f"SELECT grounds.decision_time() AS decided_at, {asked['superseded']} AS superseded,"
        f" {asked['client_suspended']} AS client_suspended, {asked['global_hold']} AS global_hold,"
        f" {asked['held_countries']} AS held_countries, {asked['held_products']} AS held_products,"
        f" coalesce({TOLD_OF_PURPOSE}, '{{}}')::text AS told"
    )
    assert row is not None, "the statement has no FROM"
    values = {**row, "told": orjson.loads(row["told"])}
    return Snapshot(policy=policy, pipeline=PIPELINE_VERSION, client=client, purpose=purpose, **values)


def _truth(value: bool) -> str:
    """Write a truth value of a lake's snapshot in SQL."""
    return "TRUE" if value else "FALSE"
