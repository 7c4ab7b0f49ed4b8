"""The platform's store of media, from which the gateway fetches a file for a client.

The store is asked with headers of the operator's command and nothing of the client's: no token and no cookie. A host is
resolved once, its address is checked, and the request goes to that address. Redirects stay within the stated origins.
"""

import asyncio
import os
import re
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from app.settings import Settings
from app.webhooks.sender import AddressNotAllowed, pin_address
from schema.oversight.webhook_address import Networks

MAX_REDIRECTS: Final = 3
COMMAND_SECONDS: Final = 5.0
_TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
_HEADER: Final = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([\x21-\x7e][\x20-\x7e]{0,8191})")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_IDENTITY: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Grounds"}


class MediaUnavailable(Exception):
    """A file that the media store did not send, with a reason for the log. The reason contains no address."""


@dataclass(frozen=True)
class MediaStore:
    """The media store in GROUNDS_MEDIA, and the requests to it."""

    origins: Mapping[str, str]
    command: str | None
    networks: Networks
    max_bytes: int

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        """Return the connections to the platform's store of media. Without a client above, no cookie is kept."""
        return httpx.AsyncHTTPTransport(verify=_trusted_certificates(), limits=httpx.Limits(max_connections=64))

    async def open(self, url: str) -> httpx.Response:
        """Ask the platform's store for a file; return its answer with an unread body. Raises MediaUnavailable."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url)
            if answer.status_code not in _REDIRECTS:
                break
            await answer.aclose()
            url = urljoin(url, answer.headers.get("location", ""))
        else:
            raise MediaUnavailable("too many redirects")
        try:
            self._check(answer)
        except MediaUnavailable:
            await answer.aclose()
            raise
        return answer

    def _check(self, answer: httpx.Response) -> None:
        """Refuse an answer of the platform's store that is no whole file of a size that is allowed."""
        if answer.status_code != httpx.codes.OK:
            raise MediaUnavailable(f"status {answer.status_code}")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise MediaUnavailable("an encoded file")
        if (length_of(answer) or 0) > self.max_bytes:
            raise MediaUnavailable("too large")

    async def _ask(self, url: str) -> httpx.Response:
        """Send one request to the platform's store of media, at an address that was checked."""
        place = self._place(url)
        headers = _IDENTITY | (await _command_headers(self.command, url) if self.command else {})
        request = httpx.Request("GET", place, headers=headers, extensions={"timeout": _TIMEOUT.as_dict()})
        try:
            return await self._transport.handle_async_request(await pin_address(request, self.networks))
        except AddressNotAllowed:
            raise MediaUnavailable("address not allowed") from None
        except (httpx.HTTPError, OSError) as error:
            raise MediaUnavailable(type(error).__name__) from None

    def _place(self, url: str) -> str:
        """Return the address of a file in the platform's store. Raises MediaUnavailable outside the stated origins."""
        parts = urlsplit(url)
        store = self.origins.get(f"{parts.scheme}://{parts.netloc.lower()}")
        if store is None:
            raise MediaUnavailable("origin not in GROUNDS_MEDIA")
        return urlunsplit((*store.split("://"), parts.path or "/", parts.query, ""))


def open_store(settings: Settings) -> MediaStore | None:
    """Return the platform's store of media that the settings name; None where they name none.

    A store that the operator names by an address, and not by a name, can be in a private network.
    """
    if not settings.media:
        return None
    stated = [network for origin in settings.media.values() if (network := _literal_network(origin))]
    networks = frozenset([*settings.media_networks, *stated])
    return MediaStore(settings.media, settings.media_headers, networks, settings.media_max_bytes)


def length_of(answer: httpx.Response) -> int | None:
    """Return how long a file is, as the platform's store states it; None if it does not."""
    stated = answer.headers.get("content-length", "")
    return int(stated) if re.fullmatch(r"[0-9]{1,18}", stated) else None


def _literal_network(origin: str) -> IPv4Network | IPv6Network | None:
    """Return the address by which GROUNDS_MEDIA names a store of media; None for a name."""
    try:
        return ip_network(urlsplit(origin).hostname or "")
    except ValueError:
        return None


async def _command_headers(command: str, url: str) -> dict[str, str]:
    """Run the operator's command for one file of the store; return the headers that it prints, one per line.

    The command gets the file's address as its last argument, and none of the gateway's own settings.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GROUNDS_", "DATABASE_"))}
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), url, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except OSError as error:
        raise MediaUnavailable(f"GROUNDS_MEDIA_HEADERS: {type(error).__name__}") from None
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise MediaUnavailable("GROUNDS_MEDIA_HEADERS: took too long") from None
    lines = printed.decode("ascii", "replace").splitlines()
    headers = [_HEADER.fullmatch(line.strip()) for line in lines if line.strip()]
    if process.returncode != 0 or not all(headers):
        raise MediaUnavailable("GROUNDS_MEDIA_HEADERS: failed")
    return {header[1]: header[2] for header in headers if header}


@lru_cache(maxsize=1)
def _trusted_certificates() -> ssl.SSLContext:
    """Return the certificates trusted for the platform's store of media, read once, which takes 20 ms."""
    return ssl.create_default_context()
