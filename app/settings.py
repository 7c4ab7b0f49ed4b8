"""Settings, read once from the environment. A wrong one stops the start with an explanation."""

import os
import re
import secrets
import tempfile
from contextlib import suppress
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.database_url import check_database_url, check_replica_url
from app.media_origins import MediaOrigins
from app.name_models import NameSettings
from app.setting_files import PASSWORD_COMMAND, read_setting_files, with_password
from app.setting_lists import Hosts, Networks, Origins, RolePrefix, Roles

# What SMTP carries everywhere; nothing that could end a header or a command.
EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")


class SettingsError(Exception):
    """A wrong setting: which one, and what to do."""


class Settings(NameSettings):
    """The settings of the gateway."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="GROUNDS_", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    data: Path = Field(
        Path(".grounds"), description="The data folder, which contains keys and the embedded PostgreSQL."
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        repr=False,
        description=(
            "The URL of a PostgreSQL 15 or later, with a user that may create roles. Default: the embedded PostgreSQL."
        ),
    )
    replica_url: str | None = Field(
        None,
        repr=False,
        description="The URL, without a user, of a standby server that answers reads which need no receipt.",
    )
    secret: str | None = Field(
        None,
        min_length=32,
        repr=False,
        description=(
            "The secret from which pseudonyms, cursors and role passwords are derived. Default: a secret that"
            " is created in the data folder."
        ),
    )
    previous_secrets: str | None = Field(
        None,
        repr=False,
        description="The secrets that GROUNDS_SECRET replaces, and that the database can still have, one per line.",
    )
    role_prefix: RolePrefix | None = Field(
        None,
        description="The prefix of the names of the database's roles, for several gateways on one PostgreSQL server."
        " Default: grounds.",
    )
    jwks: str | None = Field(None, description="The file or http(s) URL with the identity provider's keys.")
    issuer: str | None = Field(None, description="The claim `iss` that tokens must have. Required with GROUNDS_JWKS.")
    audience: str | None = Field(None, description="The claim `aud` that tokens must have. Required with GROUNDS_JWKS.")
    role_claim: str = Field(
        "role", min_length=1, description="The claim of a token that contains the role, or a list with one known role."
    )
    client_claim: str = Field("client", min_length=1, description="The claim that names the training client.")
    purpose_claim: str = Field("purpose", min_length=1, description="The claim that contains the client's purpose.")
    subject_claim: str = Field("subject", min_length=1, description="The claim with a data subject's account id.")
    audience_claim: str = Field("aud", min_length=1, description="The claim that contains GROUNDS_AUDIENCE.")
    token_lifetime_seconds: Annotated[int, Field(ge=60, le=86400)] = Field(
        3600, description="The longest time between the claims `iat` and `exp` of a token, in seconds."
    )
    token_leeway_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        30, description="How much the clocks of the issuer and the gateway can differ, in seconds."
    )
    connections: Annotated[int, Field(ge=1, le=200)] = Field(
        8, description="The number of database connections for training clients; other roles have fewer connections."
    )
    releases: Path | None = Field(
        None,
        description="The folder for the files of releases. Default: the folder `releases` in the data folder.",
    )
    release_items: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        250_000,
        description="The number of consecutive items that a file of a release covers; the file contains only the"
        " permitted items.",
    )
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        3, description="The number of seconds after SIGTERM for which /ready answers 503 before the listener closes."
    )
    otlp: str | None = Field(
        None,
        description="The URL of an OpenTelemetry collector, which receives a span per request. Default: no traces.",
    )
    metrics_token: str | None = Field(
        None,
        min_length=16,
        repr=False,
        description="The bearer token that /metrics requires. Default: no metrics.",
    )
    hosts: Hosts = Field(
        frozenset(),
        description=(
            "The host names to which requests may be sent, separated by commas. Default: localhost, 127.0.0.1,"
            " [::1], and the address of --host."
        ),
    )
    origins: Origins = Field(
        frozenset(),
        description="The origins whose pages may send requests from a browser, separated by commas. Default: none.",
    )
    trusted_proxies: Networks = Field(
        frozenset(),
        description=(
            "The addresses and networks of proxies whose header X-Forwarded-For is trusted, separated by commas."
        ),
    )
    webhook_networks: Networks = Field(
        frozenset(),
        description=(
            "The addresses and networks that webhooks can have besides public addresses, separated by commas."
        ),
    )
    media: MediaOrigins = Field(
        {}, description="The https origins of the platform's media store, separated by commas. Default: none."
    )
    media_headers: str | None = Field(
        None,
        repr=False,
        description="A command that prints the request headers that the media store requires for a file.",
    )
    media_networks: Networks = Field(
        frozenset(),
        description="The networks in which the media store can be, in addition to public networks.",
    )
    media_max_bytes: Annotated[int, Field(ge=1)] = Field(
        256 * 1024 * 1024, description="The maximum size in bytes of a media file that is delivered."
    )
    documents: Path | None = Field(
        None, description='The JSON file of trusted documents, in the form {"sha256:<hex>": "query ..."}.'
    )
    documents_only: Roles = Field(
        frozenset(), description="The roles that may send only trusted documents, separated by commas."
    )
    offers: bool = Field(
        False,
        description=(
            "Whether pages are served from offers, which background jobs prepare. If false, the rules decide each page."
        ),
    )
    reason_required: bool = Field(
        False, description="Whether officers and auditors must state a reason for each read of people's data."
    )
    introspection: bool = Field(True, description="Whether every token may read the schema by introspection.")
    graphiql: bool = Field(False, description="Whether /graphql shows an IDE, loaded from a CDN, to a browser.")
    smtp: str | None = Field(
        None,
        repr=False,
        description=(
            "The SMTP server that sends notices, as smtp://user:password@host:587 or smtps://...; it must"
            " support TLS unless it runs on this machine."
        ),
    )
    smtp_from: str | None = Field(
        None, description="The sender of notices, such as Example Platform <privacy@example.org>."
    )
    smtp_bounces: str | None = Field(
        None,
        description=(
            "The mailbox that receives bounces, such as bounces@example.org. Its provider must accept"
            " bounces+notice@example.org too."
        ),
    )
    public_url: str | None = Field(
        None,
        description=(
            "The public address of the gateway's pages, such as https://grounds.example.org. Notices link to it."
        ),
    )
    oidc_issuer: str | None = Field(
        None,
        description="The OpenID provider with which users sign in to the dashboard, such as https://id.example.org.",
    )
    oidc_client_id: str | None = Field(None, description="The client id of the gateway at the OpenID provider.")
    oidc_client_secret: str | None = Field(
        None, repr=False, description="The client secret of the gateway at the OpenID provider."
    )
    oidc_role_claim: str = Field(
        "role", min_length=1, description="The claim of an ID token that contains the role, or a list with the role."
    )

    @field_validator("otlp")
    @classmethod
    def _is_collector(cls, url: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_OTLP if it names no collector."""
        if url is not None and (not _names_a_server(url, {"http", "https"}) or set(url) & set("?#@")):
            raise ValueError("must be the URL of a collector for OTLP over HTTP (write http://collector:4318)")
        return url

    @field_validator("database_url")
    @classmethod
    def _is_database_url(cls, url: str | None) -> str | None:
        """Refuse the app's setting DATABASE_URL if the database drivers read it differently."""
        return None if url is None else check_database_url(url)

    @field_validator("replica_url")
    @classmethod
    def _is_replica_url(cls, url: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_REPLICA_URL if it names no standby server."""
        return None if url is None else check_replica_url(url)

    @field_validator("smtp")
    @classmethod
    def _is_smtp(cls, url: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_SMTP if it names no server; never quote it: it contains a password."""
        if url is not None and not _names_a_server(url, {"smtp", "smtps"}):
            raise ValueError(
                "must be the URL of an SMTP server (write smtp://user:password@mail.example.org:587 or"
                " smtps://..., and percent-encode special characters in user and password)"
            )
        return url

    @field_validator("smtp_from")
    @classmethod
    def _is_sender(cls, sender: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_SMTP_FROM if it is no sender of e-mail."""
        named = [address for _, address in getaddresses([sender or ""])]
        if sender is not None and not (sender.isprintable() and len(named) == 1 and EMAIL.fullmatch(named[0])):
            raise ValueError("must be a sender (write privacy@example.org, or Example Platform <privacy@example.org>)")
        return sender

    @field_validator("smtp_bounces")
    @classmethod
    def _is_mailbox(cls, address: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_SMTP_BOUNCES if no notice's id has room in its local part (RFC 5321)."""
        if address is not None and not (EMAIL.fullmatch(address) and len(address.rpartition("@")[0]) <= 22):
            raise ValueError("must be an address of at most 22 characters before the @ (write bounces@example.org)")
        return address

    @field_validator("public_url")
    @classmethod
    def _is_public(cls, url: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_PUBLIC_URL if it is no address of a site."""
        if url is not None and (not _names_a_server(url, {"https", "http"}) or set(url) & set("?#@")):
            raise ValueError("must be the URL of a site (write https://grounds.example.org)")
        return url and url.rstrip("/")

    @model_validator(mode="after")
    def _production_is_whole(self) -> Self:
        """Refuse settings of the app that describe an identity provider in part."""
        stated = {"GROUNDS_JWKS": self.jwks, "GROUNDS_ISSUER": self.issuer, "GROUNDS_AUDIENCE": self.audience}
        missing = [name for name, value in stated.items() if not value]
        if missing and len(missing) < len(stated):
            raise ValueError(
                f"{' and '.join(missing)}: must be set together with the other settings of the identity"
                " provider (set GROUNDS_JWKS, GROUNDS_ISSUER and GROUNDS_AUDIENCE, or none of them to use"
                " the development issuer)"
            )
        return self

    @field_validator("oidc_issuer")
    @classmethod
    def _is_openid_provider(cls, url: str | None) -> str | None:
        """Refuse the app's setting GROUNDS_OIDC_ISSUER if it is no OpenID provider."""
        if url is None:
            return None
        local = _names_a_server(url, {"http"}) and urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        if not (local or _names_a_server(url, {"https"})) or set(url) & set("?#@"):
            raise ValueError(
                "must be the issuer of an OpenID provider (write https://id.example.org, as in the claim `iss`"
                " of its ID tokens)"
            )
        return url

    @model_validator(mode="after")
    def _openid_is_whole(self) -> Self:
        """Refuse settings of the app that describe the sign-in by OpenID in part."""
        stated = {
            "GROUNDS_OIDC_ISSUER": self.oidc_issuer,
            "GROUNDS_OIDC_CLIENT_ID": self.oidc_client_id,
            "GROUNDS_OIDC_CLIENT_SECRET": self.oidc_client_secret,
        }
        missing = [name for name, value in stated.items() if not value]
        if len(missing) < len(stated) and (missing or not self.public_url):
            wanting = " and ".join(missing or ["GROUNDS_PUBLIC_URL"])
            raise ValueError(
                f"{wanting}: must also be set for the sign-in with OpenID Connect (set all of GROUNDS_OIDC_ISSUER,"
                " GROUNDS_OIDC_CLIENT_ID, GROUNDS_OIDC_CLIENT_SECRET and GROUNDS_PUBLIC_URL, or no"
                " GROUNDS_OIDC_... setting)"
            )
        return self

    @model_validator(mode="after")
    def _only_some_documents(self) -> Self:
        """Refuse the app's setting GROUNDS_DOCUMENTS_ONLY where GROUNDS_DOCUMENTS is not set."""
        if self.documents_only and self.documents is None:
            raise ValueError(
                "GROUNDS_DOCUMENTS_ONLY: the roles in this setting can send only trusted documents, but no trusted "
                "documents are set (set GROUNDS_DOCUMENTS too)"
            )
        return self

    def secret_bytes(self) -> bytes:
        """Return the app's setting GROUNDS_SECRET; make it in the data folder at the first start."""
        if self.secret is not None:
            return self.secret.encode()
        path = self.data_folder() / "secret"
        try:
            if not path.exists():
                _create_private_file(path, secrets.token_hex(32))
            secret = path.read_bytes().strip()
        except OSError as error:
            raise SettingsError(
                f"cannot use {path}, {error.strerror} (check the owner of the file, or set GROUNDS_SECRET)"
            ) from None
        if len(secret) < 32:
            raise SettingsError(f"{path}: must contain 64 hexadecimal digits (restore the file from a backup)")
        return secret

    @property
    def release_folder(self) -> Path:
        """Return the folder of the app's settings for the files of releases."""
        return self.releases or self.data / "releases"

    def data_folder(self) -> Path:
        """Return the data folder of the app's settings; make it, for its owner alone, at the first start."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"cannot create the data folder {self.data}, {error.strerror} (pass another folder with --data)"
            ) from None
        return self.data


def _names_a_server(url: str, schemes: set[str]) -> bool:
    """Return whether a URL of the app's settings names a server by one of these schemes."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def read_settings(data: Path | None = None) -> Settings:
    """Read the app's settings from the environment; `data` comes from the command line.

    Raises SettingsError with one line a fault.
    """
    try:
        found: dict[str, Any] = {"data": data} if data is not None else {}
        settings = Settings(**found | read_setting_files(os.environ))
        command = os.environ.get(PASSWORD_COMMAND)
        if command and settings.database_url is not None:
            settings = settings.model_copy(update={"database_url": with_password(settings.database_url, command)})
        return settings
    except ValidationError as error:
        faults = [
            f"{_environment_name(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise SettingsError("\n".join(dict.fromkeys(faults))) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _environment_name(place: tuple[int | str, ...]) -> str:
    """Return the environment variable of a wrong setting of the app, for its message."""
    if not place:
        return ""
    name = str(place[0]).upper()
    return f"{name if name == 'DATABASE_URL' else f'GROUNDS_{name}'}: "


def _create_private_file(path: Path, content: str) -> None:
    """Write the secret of the app's settings to a file for its owner alone, whole, and never over another's."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
