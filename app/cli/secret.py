"""The command `grounds secret rotate`."""

import typer

from app.cli.command import Data, exit_on_errors, exit_with_error

secret_commands = typer.Typer(no_args_is_help=True, help="Replace the secret.")


@secret_commands.callback()
def _group() -> None:
    """Replace the secret of the gateway."""


@secret_commands.command("rotate")
def _rotate(data: Data = None) -> None:
    """Replace the secret of the database with GROUNDS_SECRET.

    First, add the secret that the database uses now to GROUNDS_PREVIOUS_SECRETS, and set GROUNDS_SECRET to the new
    secret. Set both settings in every running gateway before you run this command.
    """
    from app.server.bootstrap import open_current_database, settings_in_force
    from app.settings import read_settings
    from db.setup import rotate_secret

    with exit_on_errors():
        settings = read_settings(data)
        if settings.secret is None or settings.previous_secrets is None:
            exit_with_error(
                "GROUNDS_SECRET must be the new secret, and GROUNDS_PREVIOUS_SECRETS must be the present secret (set"
                " both)"
            )
        with open_current_database(settings, migrate=False) as url:
            present = settings_in_force(settings, url).secret_bytes()
            if present == settings.secret_bytes():
                print("The database already has this secret.")
                return
            rotate_secret(url, present, settings.secret_bytes())
    print("The secret is rotated. Restart every gateway; GROUNDS_PREVIOUS_SECRETS is then no longer needed.")
