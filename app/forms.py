"""Forms that browsers send: reading a small one, and letting only so many through."""

import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from app.edges import Refused

MOST_FIELDS: Final = 10


@dataclass(slots=True)
class TokenBucket:
    """Let so many through a minute, all of them at once if need be."""

    per_minute: int
    left: float = field(init=False)
    looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self.left, self.looked_at = float(self.per_minute), time.monotonic()

    def take(self) -> bool:
        """Take one; say whether there was one."""
        now = time.monotonic()
        self.left = min(self.per_minute, self.left + (now - self.looked_at) * self.per_minute / 60)
        self.looked_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


async def read_form(request: Request, limit: int) -> dict[str, str]:
    """Read a form of a few fields, `limit` bytes at most; of a field that is there twice the first counts.

    Raises Refused.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "the body is no form (send application/x-www-form-urlencoded)")
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > limit:
            raise Refused(413, f"the form is longer than {limit} bytes (send less)")
    try:
        fields = parse_qs(body.decode(), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(400, "the form cannot be read (send a few fields in UTF-8)") from None
    return {name: values[0] for name, values in fields.items()}
