"""Read items, for officers, auditors and the account's owner."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class ContentRow(NamedTuple):
    """An item as examiners see it."""

    id: int
    account: int
    platform_id: str
    kind: str
    product: str | None
    audience: str | None
    conversation: str | None
    language: str | None
    created_at: datetime
    deleted_at: datetime | None
    preview: str | None
    text: str | None
    """The whole text, which only the author may read."""
    text_sha256: str | None
    signals: str | None


PREVIEW_CHARACTERS = 80
_COLUMNS = f"""
    c.id, c.account, c.platform_id, c.kind, a.product, c.audience, c.conversation, c.language,
    c.created_at, c.deleted_at,
    CASE WHEN length(c.text) > {PREVIEW_CHARACTERS} THEN left(c.text, {PREVIEW_CHARACTERS}) || '…' ELSE c.text END
        AS preview,
    CASE WHEN grounds.claim('subject') IS NOT NULL THEN c.text END AS text,
    encode(sha256(convert_to(c.text, 'UTF8')), 'hex') AS text_sha256, c.signals
    FROM grounds.content c JOIN grounds.account a ON a.id = c.account
"""


async def page_of_contents(
    reader: Reader,
    after: int,
    first: int,
    *,
    owner: str | None,
    account: int | None = None,
    platform_ids: Sequence[str] | None = None,
) -> tuple[list[ContentRow], bool]:
    """Read from the database a page of item records and whether there are more, by a clause per index."""
    clauses = {
        "c.account = (SELECT o.id FROM grounds.account o WHERE o.platform_id = ${}::text)": owner,
        "c.account = ${}::bigint": account,
        "c.platform_id = ANY (${}::text[])": platform_ids,
    }
    used = {clause: value for clause, value in clauses.items() if value is not None}
    narrowed = "".join(f" AND {clause.format(number)}" for number, clause in enumerate(used, start=3))
    rows = await reader.fetch(
        f"SELECT {_COLUMNS} WHERE c.id > $1{narrowed} ORDER BY c.id LIMIT $2::int + 1", after, first, *used.values()
    )
    reader.people.accounts.update(row["account"] for row in rows[:first])
    return [ContentRow(*row) for row in rows[:first]], len(rows) > first


async def load_contents(reader: Reader, numbers: list[int], owner: str | None) -> list[ContentRow | None]:
    """Read item records from the database by their numbers, in that order."""
    rows = await reader.fetch(
        f"SELECT {_COLUMNS} WHERE c.id = ANY ($1::bigint[]) AND ($2::text IS NULL OR a.platform_id = $2)",
        *(numbers, owner),
    )
    found = {row["id"]: ContentRow(*row) for row in rows}
    reader.people.accounts.update(row.account for row in found.values())
    return [found.get(number) for number in numbers]


async def find_content_id(reader: Reader, platform_id: str) -> int | None:
    """Find in the database the internal id of an item record by the platform's id."""
    number: int | None = await reader.fetchval("SELECT id FROM grounds.content WHERE platform_id = $1", platform_id)
    return number
