"""Move changes from the database to the journal: after their commit, and before they are answered.

A process that ends between the two leaves the changes in the database, and the next one that writes moves them too.
"""

import asyncio
from dataclasses import dataclass

from db.connection_types import Connection
from db.journal.files import JournalFiles

BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Journal:
    """The journal of a gateway's database: its files, and for how many days they are kept."""

    files: JournalFiles
    keep_days: int

    async def write_changes(self, worker: Connection) -> int:
        """Write to the journal whatever was committed and is not in it; return 0 when nothing is left.

        Raises OSError.
        """
        while await worker.fetchval("SELECT grounds.has_journal_entries()"):
            async with worker.transaction():
                rows = await worker.fetch("SELECT id, entries FROM grounds.claim_journal_entries($1)", BATCH_SIZE)
                if rows:
                    # In a thread: a disk can hang.
                    await asyncio.to_thread(self.files.append, [row["entries"] for row in rows])
                    await worker.execute("SELECT grounds.remove_journal_entries($1)", [row["id"] for row in rows])
        return 0

    async def remove_old_files(self, _: Connection) -> int:
        """Remove the files of the journal that are no longer kept; return 0."""
        await asyncio.to_thread(self.files.remove_before, self.keep_days)
        return 0
