"""Give and withdraw consent for the caller's own account. When a function returns, the change is committed."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Database, write_transaction


class ConsentStatement(NamedTuple):
    """The answer to a person who gave or withdrew consent: its reference, and since when it counts."""

    reference: str
    at: datetime


async def give_consent(database: Database, account: str) -> ConsentStatement | None:
    """Store a data subject's consent for the own account; None where the policy in force asks for none of it."""
    return await _state(database, account, "SELECT reference, given_at FROM grounds.give_consent()")


async def withdraw_consent(database: Database, account: str) -> ConsentStatement | None:
    """Store that a data subject withdrew every consent of the own account; None where none was given."""
    return await _state(database, account, "SELECT reference, withdrawn_at FROM grounds.withdraw_consent()")


async def _state(database: Database, account: str, statement: str) -> ConsentStatement | None:
    """Store a data subject's statement of consent in a transaction that claims the account."""
    async with write_transaction(database.subject, subject=account) as borrowed:
        row = await borrowed.fetchrow(statement)
    assert row is not None, "the function gives one row"
    return None if row[0] is None else ConsentStatement(*row)
