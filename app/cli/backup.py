"""The commands `grounds backup`, `grounds restore` and `grounds restored`."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.command import Data, exit_on_errors, exit_with_error, open_database_of
from app.server.restoration import accept_database, check_restoration_settings
from app.settings import read_settings

File = Annotated[Path, typer.Argument(help="The file of the backup.", show_default=False)]


def backup_command(file: File, data: Data = None) -> None:
    """Write a backup of the database to a new file. The gateway can run during the backup."""
    from db.backup import write_backup

    if file.exists():
        exit_with_error(f"{file}: exists (pass the name of a new file)")
    with open_database_of(data) as (_, url):
        write_backup(url, file)
    print(f"The backup is in {file}.")


def restore_command(file: File, data: Data = None) -> None:
    """Restore a backup into an empty database, replay the journal, and accept the database. Stop the gateway first."""
    from app.server.bootstrap import open_current_database, other_secrets, settings_in_force
    from db.backup import restore_backup

    if not file.is_file():
        exit_with_error(f"{file}: is not a file (pass a file that grounds backup wrote)")
    with exit_on_errors():
        settings = read_settings(data)
        check_restoration_settings(settings)
        secrets = (settings.secret_bytes(), *other_secrets(settings))
        with open_current_database(settings, prepare=lambda url, _: restore_backup(url, secrets, file)) as url:
            print(accept_database(settings_in_force(settings, url), url))


def restored_command(data: Data = None) -> None:
    """Accept a database that another tool restored, or a standby that lagged behind, and replay the journal.

    Stop the gateway first.
    """
    with open_database_of(data, migrate=True) as (settings, url):
        print(accept_database(settings, url))
