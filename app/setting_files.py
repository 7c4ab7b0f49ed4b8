"""Secret settings from files or a command, so that no environment and no process list contains them."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

SECRET_SETTINGS: Final = {
    "secret": "GROUNDS_SECRET",
    "previous_secrets": "GROUNDS_PREVIOUS_SECRETS",
    "database_url": "DATABASE_URL",
    "metrics_token": "GROUNDS_METRICS_TOKEN",
    "smtp": "GROUNDS_SMTP",
    "oidc_client_secret": "GROUNDS_OIDC_CLIENT_SECRET",
}
"""The settings that can be read from a file. The variable NAME_FILE contains the path of the file for the setting
NAME."""
PASSWORD_COMMAND: Final = "GROUNDS_PASSWORD_COMMAND"  # noqa: S105 - the name of a variable
_COMMAND_SECONDS: Final = 30


def read_setting_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the secret settings of the app from the files that the environment names, by the names of their fields.

    Raises ValueError for a file that cannot be read, and where a setting is stated twice.
    """
    found: dict[str, str] = {}
    for name, variable in SECRET_SETTINGS.items():
        file = environment.get(f"{variable}_FILE")
        if not file:
            continue
        if environment.get(variable):
            raise ValueError(f"{variable}: is set together with {variable}_FILE (unset one of them)")
        try:
            found[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            raise ValueError(f"{variable}_FILE: cannot read {file}, {reason} (check the path and its owner)") from None
    return found


def with_password(url: str, command: str) -> str:
    """Put the password that a command prints into the database's URL. Raises ValueError where there is none.

    The command is run without a shell, and once: at the start of a command of `grounds`.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    if not user or ":" in user:
        raise ValueError(
            f"DATABASE_URL: must have a user and no password if {PASSWORD_COMMAND} is set (write"
            " postgresql://user@host:5432/database)"
        )
    try:
        run = subprocess.run(  # noqa: S603 - the operator's own command
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_SECONDS
        )
        password = run.stdout.decode().strip() if run.returncode == 0 else ""
    except (OSError, ValueError, subprocess.TimeoutExpired):
        password = ""
    if not password:
        raise ValueError(f"{PASSWORD_COMMAND}: printed no password (run the command by hand, as the same user)")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{hosts}"))
