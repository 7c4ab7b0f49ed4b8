"""The setting DATABASE_URL: it must name PostgreSQL in a form that both database drivers read alike."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_ATTRIBUTES: Final = "target_session_attrs"


def check_database_url(url: str) -> str:
    """Return a database URL as both drivers read it: of several servers, it leads to the one that can write.

    Raises ValueError for anything else. The message never quotes the URL, because the URL contains a password.
    """
    try:
        parts = urlsplit(url)
        servers = parts.netloc.rpartition("@")[2].split(",")
        sound = parts.scheme in {"postgresql", "postgres"} and parts.netloc.count("@") <= 1
        sound = sound and all(urlsplit(f"//{server}").port != 0 for server in servers)
        parameters = conninfo_to_dict(url)
    except (ValueError, ProgrammingError):
        sound = False
    if not sound:
        raise ValueError(
            "must be the URL of a PostgreSQL database (write"
            " postgresql://user:password@host:5432/database, and percent-encode special characters in"
            " user and password, such as %40 for @, %2F for / and %3A for :)"
        )
    return _lead_to_primary(url, parameters)


def check_replica_url(url: str) -> str:
    """Return the URL of a standby server. Raises ValueError for anything else; the message never quotes the URL."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname) and "@" not in parts.netloc
        sound = sound and all(urlsplit(f"//{server}").port != 0 for server in parts.netloc.split(","))
        sound = sound and conninfo_to_dict(url).get(_ATTRIBUTES, "standby") in {"standby", "any", "prefer-standby"}
    except (ValueError, ProgrammingError):
        sound = False
    if not sound:
        raise ValueError(
            "must be the URL of a standby server without a user (write postgresql://host:5432/database; the gateway"
            " logs in with its own roles)"
        )
    return url


def _lead_to_primary(url: str, parameters: Mapping[str, Any]) -> str:
    """Make a database URL lead to the primary server. Raises ValueError if the URL asks for a standby server.

    For asyncpg, `read-write` means that the login role is not read-only, and most login roles of the gateway are.
    """
    wanted = parameters.get(_ATTRIBUTES)
    if wanted in {"standby", "read-only", "prefer-standby"}:
        raise ValueError(f"must not lead to a standby server (write {_ATTRIBUTES}=primary, or leave {_ATTRIBUTES} out)")
    if wanted == "read-write":
        return url.replace(f"{_ATTRIBUTES}=read-write", f"{_ATTRIBUTES}=primary")
    if wanted is None and "," in f"{parameters.get('host')}{parameters.get('hostaddr')}":
        return f"{url}{'&' if urlsplit(url).query else '?'}{_ATTRIBUTES}=primary"
    return url
