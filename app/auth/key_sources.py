"""The source of the issuer's public keys: a file, or a URL. During an outage of the URL, the last keys stay in use."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from app.auth.authenticator import TrustedKeys
from app.auth.jwks import MAX_KEY_SET_BYTES, KeysUnavailable, VerificationKeys

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """The times, in seconds: when to fetch keys anew, the pause between attempts, how long an outage is bridged."""

    refresh_after: float = 480.0
    pause: float = 30.0
    keep_for: float = 24 * 3600.0
    timeout: float = 5.0


DEFAULT_TIMING: Final = KeyTiming()


class _FileKeys(TrustedKeys):
    def __init__(self, path: Path, keep_for: float) -> None:
        self._path = path
        self._stamp = self._look()
        super().__init__(self._read(), keep_for)

    def current(self) -> VerificationKeys:
        """Return the issuer's keys, read again from the file if it has changed."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self.accept(self._read())
            except KeysUnavailable as error:
                self.fail(str(error))
        return super().current()

    def _look(self) -> tuple[int, int, int] | None:
        """Return the time, size and inode of the issuer's key file, to notice a new file; None if there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> VerificationKeys:
        """Read the issuer's keys from the file; raises KeysUnavailable."""
        if not self._path.is_file():
            raise KeysUnavailable("the file does not exist")
        try:
            with self._path.open("rb") as file:
                return VerificationKeys.read_json(file.read(MAX_KEY_SET_BYTES + 1))
        except OSError as error:
            raise KeysUnavailable(f"the file cannot be read ({type(error).__name__})") from None


class _UrlKeys(TrustedKeys):
    def __init__(self, client: httpx.AsyncClient, url: str, keys: VerificationKeys, timing: KeyTiming) -> None:
        super().__init__(keys, timing.keep_for)
        self._client, self._url, self._timing = client, url, timing
        self._next_refresh = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._keeping = asyncio.create_task(self._keep_fresh())

    @classmethod
    async def open(cls, url: str, timing: KeyTiming) -> "_UrlKeys":
        """Download the issuer's keys from a URL for the first time, and keep its connection open."""
        client = httpx.AsyncClient(timeout=timing.timeout, follow_redirects=False)
        try:
            return cls(client, url, await _download_keys(client, url, timing), timing)
        except BaseException:
            await client.aclose()
            raise

    async def refresh(self) -> VerificationKeys:
        """Download the issuer's keys again, unless that was done a moment ago, and return them."""
        now = time.monotonic()
        due = now >= self._next_refresh
        if due:
            self._next_refresh = now + self._timing.pause
        if due or self._fetching is not None:
            await self._fetch_once()
        return self.current()

    async def aclose(self) -> None:
        """Stop downloading the issuer's keys, and close the connection."""
        for task in (self._keeping, self._fetching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._client.aclose()

    async def _keep_fresh(self) -> None:
        """Download the issuer's keys at intervals, more often while they cannot be read."""
        while True:
            await asyncio.sleep(self._timing.pause if self.failing else self._timing.refresh_after)
            await self._fetch_once()

    async def _fetch_once(self) -> None:
        """Download the issuer's keys, or wait for the download that is under way."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: a caller that disconnects does not cancel another's answer.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        """Download the issuer's keys and trust them, or note why they cannot be read."""
        try:
            self.accept(await _download_keys(self._client, self._url, self._timing))
        except KeysUnavailable as error:
            self.fail(str(error))
        finally:
            self._fetching = None


async def _download_keys(client: httpx.AsyncClient, url: str, timing: KeyTiming) -> VerificationKeys:
    """Download a JSON Web Key Set of limited size from the issuer's URL; raises KeysUnavailable."""
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    document = b""
    try:
        # The client bounds each read only, so the whole is bounded here.
        async with asyncio.timeout(timing.timeout), client.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise KeysUnavailable(
                    f"the issuer answered with status {response.status_code}, and redirects are not followed"
                )
            # Raw, as a small compressed answer may unfold to any size.
            async for part in response.aiter_raw():
                document += part
                if len(document) > MAX_KEY_SET_BYTES:
                    break
        return VerificationKeys.read_json(document)
    except KeysUnavailable:
        raise
    except Exception as error:
        # Whatever goes wrong out there is an outage. Only its kind is told: its text may quote a URL with a secret.
        raise KeysUnavailable(f"the issuer does not answer ({type(error).__name__})") from None


async def open_keys(location: str, timing: KeyTiming = DEFAULT_TIMING) -> TrustedKeys:
    """Open the issuer's key set at an http(s) URL, or else in a file; raises KeysUnavailable."""
    try:
        if not location.lower().startswith(("http://", "https://")):
            return _FileKeys(Path(location), timing.keep_for)
        if location.lower().startswith("http://"):
            _log.warning(
                "GROUNDS_JWKS is fetched without TLS: anyone on the network path can replace the issuer's keys"
            )
        return await _UrlKeys.open(location, timing)
    except KeysUnavailable as error:
        reason = f"GROUNDS_JWKS: {error} (set it to the file or the http(s) URL of a JSON Web Key Set)"
        raise KeysUnavailable(reason) from None
