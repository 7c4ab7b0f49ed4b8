"""The parts that all commands share: options, the open database, and clear error messages."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import psycopg
import typer

from app.settings import Settings, SettingsError, read_settings
from app.telemetry import observe

EXIT_ERROR = 2
EXIT_INCOMPLETE = 3

Data = Annotated[
    Path | None,
    typer.Option(help="The data folder. Default: the value of GROUNDS_DATA, or .grounds.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextmanager
def open_database_of(data: Path | None, *, migrate: bool = False) -> Iterator[tuple[Settings, str]]:
    """Yield the settings and the database's URL to a command of `grounds`; an error ends the command with a message.

    With `migrate`, the database is set up or migrated. Without `migrate`, a database of another version is an error.
    """
    from app.server.bootstrap import open_current_database, settings_in_force

    with exit_on_errors():
        settings = read_settings(data)
        with open_current_database(settings, migrate=migrate) as url:
            yield settings_in_force(settings, url), url


@contextmanager
def exit_on_errors() -> Iterator[None]:
    """Turn a command's error into one clear message; of an error that might quote data, print only the kind."""
    from app.auth.jwks import KeysUnavailable
    from db.administrator import DatabaseError
    from db.connection import JournalUnavailable
    from db.embedded_postgres import EmbeddedPostgresError
    from db.policy.document import PolicyError

    try:
        yield
    except typer.Exit:
        raise
    except (SettingsError, DatabaseError, EmbeddedPostgresError, PolicyError, KeysUnavailable) as error:
        exit_with_error(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except JournalUnavailable:
        exit_with_error("the change is stored in the database, but not yet in the journal (run the command again)")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error) as error:
        exit_with_error(
            f"the database failed with {type(error).__name__} (read the log of PostgreSQL, then run the command again)"
        )
    except OSError as error:
        exit_with_error(
            f"{error.filename or 'input, output or the database'}: {error.strerror or type(error).__name__}"
        )
    except Exception as error:
        exit_with_error(f"an internal error occurred (report failure {observe.failure(error)} above to the developers)")


def exit_with_error(message: str) -> NoReturn:
    """Print an error and end the command of `grounds` with EXIT_ERROR."""
    print(f"grounds: {message}", file=sys.stderr)
    raise typer.Exit(EXIT_ERROR)


def read_file(file: Path) -> bytes:
    """Read a file that was passed to a command of `grounds`; end the command if the file cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        exit_with_error(f"{file}: {error.strerror}")


def print_json(result: Any) -> None:
    """Print the result of a command of `grounds` as JSON."""
    print(json.dumps(result, indent=2, ensure_ascii=False))
