"""Parse GROUNDS_MEDIA, which lists the origins of the platform's media files."""

from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

_EXAMPLE: Final = (
    "must be a list of https origins without a path, such as https://media.example.org (if the gateway reaches the"
    " store at another address, write https://media.example.org=https://store.internal.example.org)"
)


def _parse_media_origins(value: object) -> object:
    """Parse GROUNDS_MEDIA: each origin that facts name, and the origin from which the gateway fetches instead."""
    if not isinstance(value, str):
        return value
    pairs = (part.strip().partition("=") for part in value.split(","))
    origins = {named.lower().rstrip("/"): (store or named).lower().rstrip("/") for named, _, store in pairs}
    for named, store in origins.items():
        if urlsplit(named).scheme != "https" or not (_is_bare(named) and _is_bare(store)):
            raise ValueError(_EXAMPLE)
        if urlsplit(store).scheme != "https" and not is_loopback(store):
            raise ValueError(_EXAMPLE)
    return origins


def _is_bare(origin: str) -> bool:
    """Return whether an address in GROUNDS_MEDIA is an origin and nothing else."""
    try:
        parts = urlsplit(origin)
        is_host = bool(parts.hostname) and parts.port != 0 and not set(origin) & set("@* ")
        return is_host and f"{parts.scheme}://{parts.netloc}" == origin
    except ValueError:
        return False


def is_loopback(origin: str) -> bool:
    """Return whether an origin in GROUNDS_MEDIA is a plain HTTP server on this machine, named by its address."""
    parts = urlsplit(origin)
    try:
        return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


MediaOrigins = Annotated[dict[str, str], NoDecode, BeforeValidator(_parse_media_origins)]
