"""The address of a medium in a record: a file of a public server, from which the gateway fetches it for clients."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = frozenset({"localhost", "localdomain", "local", "internal"})


def check_media_address(url: str) -> str:
    """Check that the address of a medium in a record is an https URL of a public server, without credentials."""
    try:
        parts = urlsplit(url)
        host, sound = parts.hostname or "", parts.scheme == "https" and parts.port != 0
    except ValueError:
        host, sound = "", False
    if not (host and sound and url.isascii() and url.isprintable()) or "@" in parts.netloc or set(url) & set(" \\#"):
        raise ValueError("must be an https URL without credentials or fragment (write https://media.example.org/1.jpg)")
    if not _is_public(host):
        raise ValueError("must not name a private or local address (state the public address of the store)")
    return url


def _is_public(host: str) -> bool:
    """Return whether the host of a medium in a record of ingest is a name, or an address that is public.

    Addresses are also recognised in the forms that resolvers accept: `127.1`, `0x7f000001`.
    """
    try:
        address = ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        is_number = re.fullmatch(r"0x[0-9a-f]*|[0-9]+", last)
        return not is_number and last not in _LOCAL
    return address.is_global and not address.is_multicast
