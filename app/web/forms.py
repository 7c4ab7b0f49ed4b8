"""Forms that browsers send: read a form, check that a page of the gateway sent it, and limit forms per address."""

import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request

from app.http.boundary import HTTPError
from app.http.negotiation import body_type, read_body

MAX_FIELDS: Final = 10
MAX_KEYS: Final = 10_000


@dataclass(slots=True)
class TokenBucket:
    """A limit of the number of forms per minute; all of them can arrive at once."""

    per_minute: int
    left: float = field(init=False)
    looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self.left, self.looked_at = float(self.per_minute), time.monotonic()

    def take(self) -> bool:
        """Count one form that a browser sends against the limit; return whether the limit allows it."""
        now = time.monotonic()
        self.left = min(self.per_minute, self.left + (now - self.looked_at) * self.per_minute / 60)
        self.looked_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class RateLimiter:
    """A token bucket per key, such as a client's address: none can use up what others have."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str) -> bool:
        """Count one form of an address against its limit; return whether it is allowed. MAX_KEYS are remembered."""
        bucket = self._buckets.pop(key, None) or TokenBucket(self._per_minute)
        self._buckets[key] = bucket  # the least recently used comes first
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket.take()


async def read_form(request: Request, limit: int, max_fields: int = MAX_FIELDS) -> dict[str, str]:
    """Read a browser's form of a few fields, `limit` bytes at most; of a field that is there twice the first counts.

    Raises HTTPError.
    """
    if body_type(request)[0] != "application/x-www-form-urlencoded":
        raise HTTPError(415, "the body must be a form (send application/x-www-form-urlencoded)")
    body = await read_body(request, limit, "send less")
    try:
        fields = parse_qs(body.decode(), max_num_fields=max_fields, errors="strict")
    except ValueError:
        raise HTTPError(400, "the form cannot be read (send a few fields in UTF-8)") from None
    return {name: values[0] for name, values in fields.items()}


def is_from_own_page(request: Request, public_url: str | None) -> bool | None:
    """Return whether a page of the gateway sent a form, by the browser's headers; None without such a header.

    Behind a proxy that ends TLS, requests arrive by plain HTTP: `public_url` says by which scheme its host is reached.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return None if site is None else True
    scheme, _, host = origin.lower().partition("://")
    public = urlsplit((public_url or "").lower())
    # An http page of a host that is reached by https can be written by anyone on the network path.
    is_downgraded = scheme != "https" and (public.scheme, public.netloc) == ("https", host)
    return host == request.headers["host"].lower() and not is_downgraded


def client_address(request: Request, trusted: Collection[IPv4Network | IPv6Network]) -> str:
    """Return a browser's address: the nearest that is no trusted proxy's; of IPv6 the /64, which one client owns.

    Only trusted proxies are believed: whatever else sends X-Forwarded-For is counted by its own address.
    """
    stated = ",".join(request.headers.getlist("x-forwarded-for")).split(",") if trusted else []
    address = _parse_address(request.client.host if request.client else "")
    while address is not None and any(address in network for network in trusted) and stated:
        nearer = _parse_address(stated.pop())
        if nearer is None:
            break
        address = nearer
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False) if address.version == 6 else address)


def _parse_address(stated: str) -> IPv4Address | IPv6Address | None:
    """Parse an address of a browser or proxy, and unwrap IPv4 in IPv6; None if it is malformed."""
    try:
        address = ip_address(stated.strip().strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
