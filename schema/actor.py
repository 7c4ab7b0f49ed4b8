"""The actor of a request: the role and name that authentication found in the token."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Role(StrEnum):
    """The roles that a token can have, and PUBLIC, the role of pages that need no token."""

    TRAINING_CLIENT = "TRAINING_CLIENT"
    DASHBOARD = "DASHBOARD"
    PRIVACY_OFFICER = "PRIVACY_OFFICER"
    AUDITOR = "AUDITOR"
    DATA_SUBJECT = "DATA_SUBJECT"
    PLATFORM_INGEST = "PLATFORM_INGEST"
    PUBLIC = "PUBLIC"


@dataclass(frozen=True, slots=True)
class Actor:
    """The account or client that sent the request, as a verified token states it.

    `client` and `purpose` are set for a TRAINING_CLIENT, `subject` (the platform's account id) for a DATA_SUBJECT.
    """

    name: str
    role: Role
    client: str | None = None
    purpose: str | None = None
    subject: str | None = None
