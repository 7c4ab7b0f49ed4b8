"""Check lines without a database: describe the faults of each line, and count the valid lines."""

from collections import Counter
from collections.abc import AsyncIterable, Callable
from datetime import datetime

from db.ingest.rejection import Rejected
from db.ingest.staging import split_lines, stage_chunk, whole_lines


async def check_lines(
    blocks: AsyncIterable[bytes],
    products: frozenset[str],
    now: datetime,
    on_rejected: Callable[[Rejected], None],
) -> Counter[str]:
    """Check lines as they would be stored, and count the right records by type; faults go to `on_rejected`."""
    counts: Counter[str] = Counter()
    async for chunk, first in whole_lines(blocks):
        staged = stage_chunk(split_lines(chunk, first), products, now)
        for stages in staged.rounds:
            counts.update({name: len(rows) for name, rows in stages.items() if name != "rejected"})
        for rejected in staged.rejected:
            on_rejected(rejected)
    return counts
