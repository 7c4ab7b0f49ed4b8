"""Read campaigns: what each told, and its texts."""

from collections.abc import Sequence
from typing import NamedTuple

from db.connection import Reader


class CampaignTextRow(NamedTuple):
    """The text of a message of a campaign in a language; without `text` only its hash is known."""

    message: str
    language: str
    sha256: str
    text: str | None


class CampaignRow(NamedTuple):
    """A campaign; `told` has its uses as `PURPOSE KIND PRODUCT`, `disputed` those that only some versions name."""

    epoch: str
    told: list[str]
    disputed: list[str]
    texts: list[CampaignTextRow]


async def load_campaigns(reader: Reader, epochs: Sequence[str]) -> list[CampaignRow | None]:
    """Read the records of campaigns from the database by their epochs, in that order."""
    found = {row.epoch: row for row in await _read_campaigns(reader, list(epochs))}
    return [found.get(epoch) for epoch in epochs]


async def list_campaigns(reader: Reader) -> list[CampaignRow]:
    """Read the record of every campaign from the database, the latest first."""
    return await _read_campaigns(reader, None)


async def _read_campaigns(reader: Reader, epochs: list[str] | None) -> list[CampaignRow]:
    """Read the records of campaigns from the database: the uses that each told of, and its texts."""
    rows = await reader.fetch(_CAMPAIGNS, epochs)
    return [
        CampaignRow(row["epoch"], row["told"], row["disputed"], [CampaignTextRow(*each) for each in row["texts"]])
        for row in rows
    ]


_CAMPAIGNS = """
SELECT c.platform_id AS epoch, c.told, c.disputed, ARRAY(
    SELECT (k.message, k.language, k.sha256, k.text) FROM (
        SELECT t.message, t.language, t.sha256, t.text FROM grounds.campaign_text t WHERE t.epoch = c.platform_id
        UNION ALL SELECT 'NOTICE', h.key, h.value, NULL FROM jsonb_each_text(c.texts) h WHERE NOT EXISTS (
            SELECT FROM grounds.campaign_text t
            WHERE t.epoch = c.platform_id AND t.message = 'NOTICE' AND t.language = h.key)) k
    ORDER BY k.message, k.language) AS texts
FROM grounds.campaign c WHERE $1::text[] IS NULL OR c.platform_id = ANY ($1::text[]) ORDER BY c.platform_id DESC
"""
