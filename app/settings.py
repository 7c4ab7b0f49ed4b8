"""Settings: frozen, each documented, read once from the environment; a wrong one stops the start."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """Say which setting is wrong, and what to do."""


class Settings(BaseSettings):
    """Hold every setting of the gateway."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="GROUNDS_", populate_by_name=True)

    data: Path = Field(Path(".grounds"), description="The data folder: keys, and the embedded PostgreSQL.")
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="A PostgreSQL of one's own, 15 or later, as a user who may create roles; else the embedded one.",
    )
    secret: str | None = Field(
        None,
        min_length=32,
        description="What pseudonyms, cursors and role passwords are derived from; else made in the data folder.",
    )
    jwks: str | None = Field(None, description="The identity provider's keys: a file or an http(s) URL.")
    issuer: str | None = Field(None, description="The `iss` that tokens must have. Needed with GROUNDS_JWKS.")
    audience: str | None = Field(None, description="The `aud` that tokens must have. Needed with GROUNDS_JWKS.")
    connections: Annotated[int, Field(ge=1, le=200)] = Field(
        8, description="Connections that training clients share; the others have fewer."
    )

    @model_validator(mode="after")
    def _production_is_whole(self) -> Self:
        stated = {"GROUNDS_JWKS": self.jwks, "GROUNDS_ISSUER": self.issuer, "GROUNDS_AUDIENCE": self.audience}
        missing = [name for name, value in stated.items() if not value]
        if missing and len(missing) < len(stated):
            raise ValueError(
                f"{' and '.join(missing)} not set: an identity provider needs GROUNDS_JWKS, GROUNDS_ISSUER and"
                " GROUNDS_AUDIENCE (set all three, or none for the development issuer)"
            )
        return self

    def secret_bytes(self) -> bytes:
        """Give the secret; make it in the data folder at the first start."""
        if self.secret is not None:
            return self.secret.encode()
        path = self.data_folder() / "secret"
        try:
            with open(path, "x", opener=_private) as file:
                file.write(secrets.token_hex(32))
        except FileExistsError:
            pass
        secret = path.read_text()
        if len(secret) < 32:
            raise SettingsError(f"{path} is damaged: it must hold 64 hexadecimal digits (restore it from a backup)")
        return secret.encode()

    def data_folder(self) -> Path:
        """Give the data folder; make it, for its owner alone, at the first start."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"cannot make the data folder {self.data}: {error.strerror} (name another with --data)"
            ) from None
        return self.data


def read_settings(data: Path | None = None) -> Settings:
    """Read the settings from the environment; `data` comes from the command line.

    Raises SettingsError with one line a fault.
    """
    try:
        return Settings() if data is None else Settings(data=data)
    except ValidationError as error:
        faults = [
            f"{_environment_name(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise SettingsError("\n".join(faults)) from None


def _environment_name(place: tuple[int | str, ...]) -> str:
    if not place:
        return ""
    name = str(place[0]).upper()
    return f"{name if name == 'DATABASE_URL' else f'GROUNDS_{name}'}: "


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
