"""The command `grounds restored`: accept a database that was restored from a backup or is a standby that was behind."""

from app.cli.command import Data, exit_with_error, open_database_of
from app.server.checkpoint_files import accept_restored_database, read_checkpoint


def restored_command(data: Data = None) -> None:
    """Accept a restored database, and set aside the exported checkpoints that the database lacks."""
    with open_database_of(data, migrate=True) as (settings, url):
        folder = settings.checkpoints
        if folder is None or not folder.is_dir():
            exit_with_error("GROUNDS_CHECKPOINTS: must be an existing folder (set it as for grounds serve)")
        lost = accept_restored_database(url, folder)
        if not lost:
            print("Every exported checkpoint is in the database, so there is nothing to accept.")
            return
        first, last = (read_checkpoint(file).checkpoint for file in (lost[0], lost[-1]))
        print(
            f"{len(lost)} exported checkpoints ({first.number} to {last.number}, sealed until {last.sealed_at}Z) are"
            f" not in the database. They are in {lost[0].parent} now, and `grounds serve` can start.\n"
            "Send all objections, withdrawals and holds since the backup again, and have every training client check"
            " all items that it has."
        )
