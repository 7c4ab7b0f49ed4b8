"""Open the folder of the server's journal, and let the database collect changes for the journal."""

from pathlib import Path
from typing import Final

import psycopg

from app.settings import Settings, SettingsError
from db.access.role_names import BECOME_OWNER
from db.journal.files import JournalFiles
from db.journal.outbox import Journal

UNWRITTEN: Final = "if the database is restored, objections and deletions will be lost (set GROUNDS_JOURNAL)"
NO_JOURNAL: Final = Path("none")


def open_journal(settings: Settings) -> Journal | None:
    """Open the server's journal; None where there is none. Raises SettingsError if its folder does not exist."""
    folder = settings.journal
    if folder is None or folder == NO_JOURNAL:
        return None
    if not folder.is_dir():
        raise SettingsError(
            f"GROUNDS_JOURNAL: the folder {folder} does not exist (create it, or check that its disk is mounted)"
        )
    return Journal(JournalFiles(folder, settings.secret_bytes()), settings.journal_days)


def keep_journal(url: str, settings: Settings) -> None:
    """Let the server's database leave changes for the journal, or none any more if it is ended by `none`."""
    if settings.journal is None:
        return
    kept = settings.journal != NO_JOURNAL
    with psycopg.connect(url) as connection:
        connection.execute(BECOME_OWNER)
        connection.execute("UPDATE grounds.installation SET journal = %s WHERE journal <> %s", [kept, kept])
        if not kept:
            connection.execute("DELETE FROM grounds.journal_entry")
