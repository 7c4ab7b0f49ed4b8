"""Settings that are lists (hosts, networks, origins, roles), or names of a certain form."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from schema.actor import Role

_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_ROLE_PREFIX: Final = re.compile(r"(?!pg_)[a-z][a-z0-9_]{0,39}")
_ORIGIN: Final = re.compile(rf"https?://({_HOST.pattern})(:[0-9]{{1,5}})?")


def _split_commas(value: object) -> object:
    """Split a setting of the app at its commas."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _is_role(name: str) -> Role:
    """Parse a role that a setting of the app names."""
    try:
        return Role(name)
    except ValueError:
        raise ValueError(f"must be a list of roles, separated by commas (choose from {','.join(Role)})") from None


def _is_host(name: str) -> str:
    """Check a host name or an address that a setting of the app names, without its port."""
    if not _HOST.fullmatch(name.lower()):
        raise ValueError(
            "must be a list of host names or addresses, without scheme, port or * (write"
            " grounds.example.org,10.0.0.7,[2001:db8::7])"
        )
    return name.lower()


def _parse_network(name: str) -> IPv4Network | IPv6Network:
    """Parse an address or a network that a setting of the app names."""
    try:
        return ip_network(name)
    except ValueError:
        raise ValueError("must be a list of addresses or networks (write 10.0.0.7,10.1.0.0/16,2001:db8::/32)") from None


def _is_origin(name: str) -> str:
    """Check a web origin that a setting of the app names."""
    if not _ORIGIN.fullmatch(name.lower()):
        raise ValueError(
            "must be a list of origins, without path or * (write https://app.example.org,http://localhost:3000)"
        )
    return name.lower()


def _is_role_prefix(name: str) -> str:
    """Check a prefix of PostgreSQL roles that a setting of the app states; PostgreSQL keeps pg_ for itself."""
    if not _ROLE_PREFIX.fullmatch(name):
        raise ValueError(
            "must begin with a letter, have at most 40 lower-case letters, digits and _, and not begin with pg_"
            " (write staging)"
        )
    return name


RolePrefix = Annotated[str, AfterValidator(_is_role_prefix)]
# Frozen sets, split by us: pydantic-settings would ask for JSON.
Roles = Annotated[frozenset[Annotated[Role, BeforeValidator(_is_role)]], NoDecode, BeforeValidator(_split_commas)]
Hosts = Annotated[frozenset[Annotated[str, AfterValidator(_is_host)]], NoDecode, BeforeValidator(_split_commas)]
Networks = Annotated[
    frozenset[Annotated[IPv4Network | IPv6Network, BeforeValidator(_parse_network)]],
    NoDecode,
    BeforeValidator(_split_commas),
]
Origins = Annotated[frozenset[Annotated[str, AfterValidator(_is_origin)]], NoDecode, BeforeValidator(_split_commas)]
