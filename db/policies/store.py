"""Read policies that are or were in force."""

from db.connection import Pool, connection
from db.policy.document import Policy, parse_policy


async def policy_of(pool: Pool, version: str | None) -> Policy | None:
    """Read from the database a policy version that was in force once, or with None the one that is."""
    async with connection(pool) as borrowed:
        document = await borrowed.fetchval(
            "SELECT document::text FROM grounds.policy"
            " WHERE CASE WHEN $1::text IS NULL THEN active ELSE version = $1 END",
            version,
        )
    return parse_policy(document) if document else None
