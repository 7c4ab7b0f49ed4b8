"""Stored campaigns: the uses that a campaign named, and the text of each of its messages in each language."""

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from db.connection import Connection
from db.vocabulary import MessageKind


class StoredCampaign(NamedTuple):
    """A campaign as its records state it.

    `told` has its uses as `PURPOSE KIND PRODUCT`, `texts` the SHA-256 of its notice by language. It `counts` unless its
    last record was set aside or it tells of nothing.
    """

    told: frozenset[str]
    texts: dict[str, str]
    counts: bool


async def stored_campaign(borrowed: Connection, epoch: str) -> StoredCampaign | None:
    """Read from the database the uses that a campaign's notices named, by its epoch; None if no record was accepted."""
    row = await borrowed.fetchrow("SELECT told, texts, counts FROM grounds.stored_campaign($1)", epoch)
    return None if row is None else StoredCampaign(frozenset(row[0]), orjson.loads(row[1]), row[2])


async def register_texts(borrowed: Connection, epoch: str, message: MessageKind, texts: Mapping[str, str]) -> list[str]:
    """Store the texts of a campaign's notices for ever; return the languages of those refused, if any.

    A text is refused if another one is kept in its language, or if it is a notice without its hash in the campaign's
    record.
    """
    refused: list[str] = await borrowed.fetchval(
        "SELECT grounds.register_texts($1, $2, $3, $4)", epoch, message, list(texts), list(texts.values())
    )
    return refused


async def registered_texts(borrowed: Connection, epoch: str, message: MessageKind) -> dict[str, str]:
    """Read from the database the texts of a campaign's notices of a kind, by language."""
    rows = await borrowed.fetch("SELECT language, text FROM grounds.registered_texts($1, $2)", epoch, message)
    return {row["language"]: row["text"] for row in rows}
