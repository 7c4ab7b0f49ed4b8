"""The claims of a verified token, under the names that the operator's identity provider uses."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from db.oversight.objection_filing import is_platform_id
from schema.actor import CLIENT_NAME, Actor, Role

PURPOSE_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The names of claims, the longest lifetime of a token, and how much clocks can differ.

    A name with dots that is no claim itself is a path: `realm_access.roles` is the member `roles` of `realm_access`.
    """

    role: str = "role"
    client: str = "client"
    purpose: str = "purpose"
    subject: str = "subject"
    audience: str = "aud"
    lifetime_seconds: int = 3600
    leeway_seconds: int = 30


def find_claim(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim of a bearer token by its name, or by its path; None if it is missing."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def held_roles(stated: object) -> list[Role]:
    """Return the roles of this gateway among those that a bearer token's claim states: one, or a list."""
    held = [each for each in (stated if isinstance(stated, list) else [stated]) if isinstance(each, str)]
    return [role for role in Role if role in held]


def actor_of_claims(claims: Mapping[str, Any], rules: TokenRules) -> Actor:
    """Make the actor that the claims of a bearer token describe; a ValueError names the claim that is wrong."""
    name = _text_claim(claims, "sub", is_identifier)
    match held_roles(find_claim(claims, rules.role)):
        case [role]:
            pass
        case []:
            raise ValueError(f"{rules.role} is not a role of this gateway")
        case _:
            raise ValueError(f"{rules.role} contains several roles of this gateway")
    if role is Role.TRAINING_CLIENT:
        client = _text_claim(claims, rules.client, CLIENT_NAME.fullmatch)
        return Actor(name, role, client=client, purpose=_text_claim(claims, rules.purpose, PURPOSE_NAME.fullmatch))
    if role is Role.DATA_SUBJECT:
        return Actor(name, role, subject=_text_claim(claims, rules.subject, is_platform_id))
    return Actor(name, role)


def _text_claim(claims: Mapping[str, Any], name: str, is_well_formed: Callable[[str], object]) -> str:
    """Return a well-formed text that a bearer token claims; a ValueError names the claim."""
    value = find_claim(claims, name)
    if not isinstance(value, str) or not is_well_formed(value):
        raise ValueError(f"{name} is missing or malformed")
    return value


def is_identifier(value: str) -> bool:
    """Return whether a token's claim can name a bearer: 1 to 200 printable characters."""
    # Half a surrogate pair or a NUL passes through JSON, but not into PostgreSQL.
    return 1 <= len(value) <= 200 and value.isprintable()
