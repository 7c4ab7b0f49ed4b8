"""Accept a restored database before the server starts: a new incarnation, the journal, and the lost checkpoints."""

from app.server.bootstrap import other_secrets
from app.server.checkpoint_files import read_checkpoint, set_aside_lost_checkpoints
from app.server.journal import open_journal
from app.settings import Settings, SettingsError
from db.administrator import DatabaseError
from db.journal.files import JournalError
from db.setup import accept_restored_database, load_secrets


def check_restoration_settings(settings: Settings) -> None:
    """Raise SettingsError if a folder that the server is set to use does not exist."""
    if settings.checkpoints is not None and not settings.checkpoints.is_dir():
        raise SettingsError("GROUNDS_CHECKPOINTS: must be an existing folder (use the same value as for grounds serve)")
    open_journal(settings)


def accept_database(settings: Settings, url: str) -> str:
    """Accept a restored database of the server; describe what was done. It can be repeated.

    Raises DatabaseError while the database is in use, and where its journal cannot be read.
    """
    check_restoration_settings(settings)
    journal = open_journal(settings)
    try:
        secrets = load_secrets(url, settings.secret_bytes(), other_secrets(settings))
        replayed = accept_restored_database(url, secrets, None if journal is None else journal.files)
    except JournalError as error:
        raise DatabaseError(f"cannot replay the journal: {error}") from None
    said = []
    if journal is None:
        said.append(
            "No journal was replayed. Send again all objections, withdrawals and holds that were sent after "
            "the backup was made."
        )
    else:
        counts = ", ".join(f"{count} of {table}" for table, count in sorted(replayed.items()))
        said.append(f"Rows that were replayed from the journal: {counts or 'none'}.")
    if settings.checkpoints is not None:
        # Last: a command that is interrupted must not leave a database that starts.
        lost = set_aside_lost_checkpoints(url, settings.checkpoints)
        if lost:
            first, last = (read_checkpoint(file).checkpoint for file in (lost[0], lost[-1]))
            said.append(
                f"{len(lost)} exported checkpoints ({first.number} to {last.number}) are not in the database."
                f" The newest of them was sealed at {last.sealed_at}Z."
                f" The files of these checkpoints were moved to {lost[0].parent}."
            )
        else:
            said.append("Every exported checkpoint is in the database.")
    said.append(
        "The database is accepted, and `grounds serve` can start. The gateway refuses cursors from before the restore."
        " Every training client must check all its items with checkEligibility. The platform must send all facts since"
        " the backup again."
    )
    return "\n".join(said)
