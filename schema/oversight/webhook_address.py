"""The addresses to which retractions may be posted: public ones, and those in networks that the operator allows."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from schema.errors import BadInput

MAX_URL_LENGTH: Final = 2000

Networks = Collection[IPv4Network | IPv6Network]


def check_webhook_address(url: str, allowed: Networks) -> None:
    """Raise BadInput for a webhook address with which officers may not register a client; never quote it.

    A host name is resolved when retractions are posted, and its addresses are checked then.
    """
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and len(url) <= MAX_URL_LENGTH
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadInput(
            f"webhook: must be a URL of at most {MAX_URL_LENGTH} characters (percent-encode special characters)"
        )
    if "@" in parts.netloc or parts.fragment:
        raise BadInput(
            "webhook: must not contain credentials or a fragment (remove them; requests to the webhook are signed)"
        )
    address = _literal(parts.hostname or "")
    if address is not None and not is_allowed(address, allowed):
        raise BadInput(
            "webhook: the host must have a public address (for a private address, ask the operator to set "
            "GROUNDS_WEBHOOK_NETWORKS)"
        )
    is_loopback = address is not None and address.is_loopback
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        raise BadInput("webhook: must use https (write https://...)")


def is_allowed(address: IPv4Address | IPv6Address, allowed: Networks) -> bool:
    """Return whether officers may register a webhook's address: a public one, or in a network that is allowed."""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return (mapped.is_global and not mapped.is_multicast) or any(mapped in network for network in allowed)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Parse the host of a webhook's address that officers register: an IP address or localhost; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return ip_address("127.0.0.1") if host == "localhost" or host.endswith(".localhost") else None
