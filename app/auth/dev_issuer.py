"""The development issuer of tokens. Its key pair is in the data folder."""

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from app.auth.token_claims import PURPOSE_NAME, is_identifier
from app.settings import Settings, SettingsError
from db.oversight.objection_filing import is_platform_id
from db.vocabulary import MAX_ID_BYTES
from schema.actor import CLIENT_NAME, Role

DEVELOPMENT_ISSUER: Final = "grounds-development"
DEVELOPMENT_AUDIENCE: Final = "grounds"
MAX_LIFETIME_SECONDS: Final = 3600


class DevelopmentIssuer:
    """An issuer of tokens for development and demonstration, with its own key pair; never for production."""

    def __init__(self, key: ECKey) -> None:
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> "DevelopmentIssuer":
        """Read the key pair of the development issuer from `issuer.json`, and make it first if there is none.

        Raises ValueError if the file holds no such key pair.
        """
        file = folder / "issuer.json"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _create_key_file(file, json.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)))
        try:
            key = ECKey.import_key(json.loads(file.read_bytes()))
        except (JoseError, ValueError, TypeError, KeyError):
            key = None
        if key is None or not key.is_private or key.curve_name != "P-256":
            raise ValueError(
                "issuer.json does not contain a P-256 key pair (delete the file; the next start creates a new key pair)"
            )
        key.ensure_kid()
        return cls(key)

    def token(
        self,
        role: Role,
        *,
        client: str | None = None,
        purpose: str | None = None,
        subject: str | None = None,
        name: str | None = None,
        lifetime_seconds: int = MAX_LIFETIME_SECONDS,
    ) -> str:
        """Sign a development token for a role, with the claims that the role uses; `name` is the bearer's name.

        Raises ValueError without the client and purpose of a TRAINING_CLIENT or the subject of a DATA_SUBJECT, and for
        a lifetime that is not between 1 and 3600 s.
        """
        if not 1 <= lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise ValueError(
                f"the lifetime of a token must be 1 to {MAX_LIFETIME_SECONDS} seconds, not {lifetime_seconds}"
            )
        claims: dict[str, str] = {}
        if role is Role.TRAINING_CLIENT:
            if not client or not CLIENT_NAME.fullmatch(client):
                raise ValueError(f"a token for {role} needs a client name that matches {CLIENT_NAME.pattern}")
            if not purpose or not PURPOSE_NAME.fullmatch(purpose):
                raise ValueError(f"a token for {role} needs a purpose that matches {PURPOSE_NAME.pattern}")
            claims = {"client": client, "purpose": purpose}
        if role is Role.DATA_SUBJECT:
            if not subject or not is_platform_id(subject):
                raise ValueError(
                    f"a token for {role} needs a subject, which is the account's id of at most {MAX_ID_BYTES} bytes"
                )
            claims = {"subject": subject}
        if name is not None and not is_identifier(name):
            raise ValueError("the name must have 1 to 200 printable characters")
        now = int(time.time())
        name = name or claims.get("client") or claims.get("subject", "")[:200] or f"development-{role.lower()}"
        fixed = {"iss": DEVELOPMENT_ISSUER, "aud": DEVELOPMENT_AUDIENCE, "iat": now, "exp": now + lifetime_seconds}
        header = {"alg": "ES256", "kid": self._key.kid}
        return jwt.encode(header, fixed | {"sub": name, "role": role.value} | claims, self._key)

    def jwks(self) -> dict[str, Any]:
        """Return the JSON Web Key Set that verifies the development issuer's tokens; it contains nothing secret."""
        return {"keys": [self._key.as_dict(private=False, use="sig", alg="ES256")]}


def open_issuer(settings: Settings) -> DevelopmentIssuer:
    """Open the development issuer for a starting process; raise SettingsError when its key cannot be used."""
    try:
        return DevelopmentIssuer.open(settings.data_folder())
    except OSError as error:
        raise SettingsError(
            f"cannot use issuer.json in {settings.data}, {error.strerror} (check its owner, or pass another"
            " folder with --data)"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{settings.data}: {error}") from None


def _create_key_file(file: Path, content: str) -> None:
    """Write the development issuer's key pair to a file, unless another process has written one."""
    descriptor, name = tempfile.mkstemp(prefix=".issuer-", dir=file.parent)  # readable by the owner only
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        # A link appears whole or not at all, and never over what another process has put there.
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
    finally:
        draft.unlink()
