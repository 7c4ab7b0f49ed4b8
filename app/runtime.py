"""What every command stands on: the database, up to date, and the keys that tokens are checked with."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from app.auth import Authenticator, open_keys, static_keys
from app.issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentIssuer
from app.settings import Settings, SettingsError
from db.admin import prepare
from db.embedded import embedded_postgres

EMBEDDED_DATABASE = "grounds"


@contextmanager
def open_server(settings: Settings) -> Iterator[str]:
    """Give the administrator's URL of a database that is up to date: one's own, or the embedded one."""
    secret = settings.secret_bytes()
    if settings.database_url is not None:
        try:
            prepare(settings.database_url, secret)
        except psycopg.errors.InsufficientPrivilege:
            raise SettingsError(
                "DATABASE_URL: its user may not set the database up (name one that owns it and may create roles)"
            ) from None
        yield settings.database_url
        return
    with embedded_postgres(settings.data_folder() / "postgres") as server:
        url = urlunsplit(urlsplit(server)._replace(path=f"/{EMBEDDED_DATABASE}"))
        _create_once(server)
        prepare(url, secret)
        yield url


async def open_authenticator(settings: Settings) -> Authenticator:
    """Check tokens against the identity provider's keys, or against the development issuer's."""
    if settings.jwks is None or settings.issuer is None or settings.audience is None:
        keys = static_keys(open_issuer(settings).jwks())
        return Authenticator(keys, issuer=DEVELOPMENT_ISSUER, audience=DEVELOPMENT_AUDIENCE)
    keys = await open_keys(settings.jwks)
    return Authenticator(keys, issuer=settings.issuer, audience=settings.audience)


def open_issuer(settings: Settings) -> DevelopmentIssuer:
    """Open the development issuer of the data folder; raise SettingsError when its key cannot be used."""
    try:
        return DevelopmentIssuer.open(settings.data_folder())
    except OSError as error:
        raise SettingsError(
            f"cannot use issuer.json in {settings.data}: {error.strerror} (see whose it is, or give another --data)"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{settings.data}: {error}") from None


def _create_once(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        # Who shares the server may come at the same moment as who started it.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('grounds.database', 0))")
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [EMBEDDED_DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {EMBEDDED_DATABASE}".encode())
