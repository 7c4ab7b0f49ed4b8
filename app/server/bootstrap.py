"""Prepare what every command needs: an up-to-date database, and the keys that verify tokens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import psycopg

from app.auth.authenticator import Authenticator, static_keys
from app.auth.dev_issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, open_issuer
from app.auth.key_sources import open_keys
from app.auth.token_claims import TokenRules
from app.settings import Settings, SettingsError
from db.administrator import DatabaseError
from db.embedded_postgres import embedded_postgres, url_of_running_server
from db.setup import check_database, prepare_database, secret_in_force

EMBEDDED_DATABASE = "grounds"


def other_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Return the secrets beside GROUNDS_SECRET that the server's database may have, or be rotated to."""
    return tuple(each.strip().encode() for each in (settings.previous_secrets or "").splitlines() if each.strip())


def settings_in_force(settings: Settings, url: str) -> Settings:
    """Return the server's settings with the secret that its database has, of those that are known."""
    others = other_secrets(settings)
    if not others:
        return settings
    known = (settings.secret_bytes(), *others)
    secret = secret_in_force(url, known)
    rest = "\n".join(each.decode() for each in known if each != secret)
    return settings.model_copy(update={"secret": secret.decode(), "previous_secrets": rest})


@contextmanager
def open_current_database(
    settings: Settings, *, migrate: bool = True, prepare: Callable[[str, bytes], None] | None = None
) -> Iterator[str]:
    """Start the server's database, one's own or the embedded one, bring it up to date, and yield its URL.

    With `migrate` the database is set up or brought up to date. Otherwise DatabaseError is raised where that is needed.
    What is to be done instead can be passed as `prepare`.
    """
    prepare = prepare or partial(prepare_database if migrate else check_database, role_prefix=settings.role_prefix)
    if settings.database_url is not None:
        try:
            prepare(settings.database_url, settings_in_force(settings, settings.database_url).secret_bytes())
        except psycopg.errors.InsufficientPrivilege:
            raise SettingsError(
                "DATABASE_URL: the user may not set up the database (use a user that owns the database and"
                " may create roles)"
            ) from None
        yield settings.database_url
        return
    if not migrate and not (settings.data / "postgres").exists():
        raise DatabaseError(
            f"{settings.data}: contains no database (pass another folder, or run grounds migrate or grounds serve)"
        )
    with embedded_postgres(settings.data_folder() / "postgres") as server:
        url = _embedded_url(server)
        _create_embedded_database(server)
        prepare(url, settings_in_force(settings, url).secret_bytes())
        yield url


def running_database_url(settings: Settings) -> str | None:
    """Return the URL of the server's running database: the operator's own, or the embedded one."""
    if settings.database_url is not None:
        return settings.database_url
    home = settings.data / "postgres"
    server = url_of_running_server(home) if (home / "running").exists() else None
    return None if server is None else _embedded_url(server)


def _embedded_url(server: str) -> str:
    """Return the URL of the gateway's database in the embedded PostgreSQL of a server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{EMBEDDED_DATABASE}"))


def check_embedded_database(settings: Settings) -> None:
    """Raise SettingsError if the embedded PostgreSQL of the server no longer runs."""
    home = settings.data / "postgres"
    if settings.database_url is None and url_of_running_server(home) is None:
        raise SettingsError(f"the embedded PostgreSQL has ended (read {home / 'log'}, and start the gateway again)")


async def open_authenticator(settings: Settings) -> Authenticator:
    """Open the check of tokens when a server starts: with the identity provider's keys, or the development issuer's."""
    if settings.jwks is None or settings.issuer is None or settings.audience is None:
        keys = static_keys(open_issuer(settings).jwks())
        return Authenticator(keys, issuer=DEVELOPMENT_ISSUER, audience=DEVELOPMENT_AUDIENCE)
    keys = await open_keys(settings.jwks)
    rules = TokenRules(
        role=settings.role_claim,
        client=settings.client_claim,
        purpose=settings.purpose_claim,
        subject=settings.subject_claim,
        audience=settings.audience_claim,
        lifetime_seconds=settings.token_lifetime_seconds,
        leeway_seconds=settings.token_leeway_seconds,
    )
    return Authenticator(keys, issuer=settings.issuer, audience=settings.audience, rules=rules)


def _create_embedded_database(server: str) -> None:
    """Create the database of the gateway in the embedded PostgreSQL at the server's first start."""
    with psycopg.connect(server, autocommit=True) as connection:
        # Who shares the server may come at the same moment as who started it.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('grounds.database', 0))")
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [EMBEDDED_DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {EMBEDDED_DATABASE}".encode())
