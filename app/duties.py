"""Every duty of the background work, with how often it is done."""

import asyncio

from app.jobs import Duty, in_transaction
from app.observe import observe
from app.posting import post_due
from db.admin import activate_policy
from db.coverage import take_coverage
from db.ledger import seal, signing_key
from db.notices import count_notices
from db.objections import remember_reaching
from db.policy.document import parse_policy
from db.retraction import purge_texts, retract_due
from db.session import Connection


def duties(url: str, secret: bytes) -> tuple[Duty, ...]:
    """Give the duties. `url` is the administrator's, for what only the owner may do; `secret` signs."""
    key = signing_key(secret)

    async def put_in_force(connection: Connection) -> int:
        document = await connection.fetchval("SELECT grounds.due_policy()::text")
        if document is None:
            return 0
        await asyncio.to_thread(activate_policy, url, parse_policy(document))
        return 1

    async def remove_texts(connection: Connection) -> int:
        removed = await purge_texts(connection)
        if removed:
            observe.texts_removed(removed)
        return removed

    return (
        Duty("policy", 0.5, put_in_force),
        Duty("retract", 1, retract_due),
        Duty("webhook", 1, in_transaction(lambda connection: post_due(connection, secret))),
        Duty("notices", 600, count_notices),
        Duty("objections", 60, remember_reaching),
        Duty("purge", 3600, remove_texts),
        Duty("coverage", 60, take_coverage),
        Duty("seal", 10, in_transaction(lambda connection: seal(connection, key))),
    )
