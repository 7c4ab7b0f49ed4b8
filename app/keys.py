"""The public keys of the issuer that is trusted: given, in a file, or at a URL that is asked again now and then."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.util import base64_to_int

_EDDSA: Final = frozenset({"EdDSA", "Ed25519"})  # one and the same for a key on that curve (RFC 9864)
_FITTING: Final[dict[object, frozenset[str]]] = {
    ("OKP", "Ed25519"): _EDDSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("RSA", None): frozenset({"RS256", "PS256"}),
}
ALGORITHMS: Final = tuple(sorted(frozenset[str]().union(*_FITTING.values())))
_PUBLIC_MEMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e"})
_SECRET_MEMBERS: Final = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_MIN_RSA_BITS: Final = 2048
_MAX_KEY_SET_BYTES: Final = 256 * 1024

_log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """Report that there are no keys to verify tokens with; the message is safe to log."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """Pair one public key with the algorithms that it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    thumbprint: str
    key: Key = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VerificationKeys:
    """Hold the public keys of one issuer at one time."""

    keys: tuple[VerificationKey, ...]

    @classmethod
    def read(cls, jwks: object) -> "VerificationKeys":
        """Read a JSON Web Key Set (RFC 7517), leaving out what is not a public signature key of an accepted kind.

        Raises KeysUnavailable if it is no key set.
        """
        entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(entries, list):
            raise KeysUnavailable("it is not a JSON Web Key Set: an object with a list named keys is needed")
        keys = tuple(key for entry in entries if (key := _verification_key(entry)) is not None)
        if ignored := len(entries) - len(keys):
            _log.info("%d keys of the issuer's key set are ignored: private, symmetric, short or of no use", ignored)
        return cls(keys)

    @classmethod
    def read_json(cls, document: bytes) -> "VerificationKeys":
        """Read a JSON Web Key Set from at most 256 KiB of JSON; raises KeysUnavailable if it is none."""
        if len(document) > _MAX_KEY_SET_BYTES:
            raise KeysUnavailable("it is longer than 256 KiB")
        try:
            return cls.read(json.loads(document))
        except (ValueError, RecursionError):
            raise KeysUnavailable("it is not JSON") from None

    def or_refuse(self) -> "VerificationKeys":
        """Return these keys; raises KeysUnavailable if there is none among them."""
        if not self.keys:
            raise KeysUnavailable("it holds no public signature key (Ed25519, P-256, P-384, RSA of 2048 bits or more)")
        return self

    def know(self, kid: str | None) -> bool:
        """Say whether a key has this id; a token without one could be of any key."""
        return kid is None or any(key.kid == kid for key in self.keys)

    def fitting(self, algorithm: str, kid: str | None) -> Iterator[Key]:
        """Yield the keys that may verify this algorithm and do not state another id."""
        for key in self.keys:
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid):
                yield key.key


def _verification_key(jwk: object) -> VerificationKey | None:
    if not isinstance(jwk, Mapping) or _SECRET_MEMBERS & jwk.keys():
        return None
    kid, declared = jwk.get("kid"), jwk.get("alg")
    try:
        algorithms = _FITTING[jwk.get("kty"), jwk.get("crv")]
        if declared is not None:
            algorithms &= _EDDSA if declared in _EDDSA else {declared}
        verifies = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"])
        # Asked before the import, as the library only warns of a short one.
        short = jwk["kty"] == "RSA" and base64_to_int(jwk["n"]).bit_length() < _MIN_RSA_BITS
        if not algorithms or not verifies or short:
            return None
        key = import_key({member: jwk[member] for member in _PUBLIC_MEMBERS & jwk.keys()})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return VerificationKey(kid if isinstance(kid, str) else None, algorithms, key.thumbprint(), key)


class KeySource(Protocol):
    """Provide an issuer's keys as they are now: a fixed set, a file or a URL."""

    def current(self) -> VerificationKeys:
        """Return the keys in use, the same object until they change; raises KeysUnavailable."""
        ...

    async def refresh(self) -> VerificationKeys:
        """Look for newer keys, as a token names one that is not known; raises KeysUnavailable."""
        ...

    async def aclose(self) -> None:
        """Let go of what the source holds."""
        ...


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """Say in seconds when to fetch keys anew, the pause between tries, and how long they may outlive an outage."""

    refresh_after: float = 480.0
    pause: float = 30.0
    keep_for: float = 24 * 3600.0
    timeout: float = 5.0


DEFAULT_TIMING: Final = KeyTiming()


class _HeldKeys:
    """Keep the last good keys through an outage of their source, `keep_for` seconds from its start at most."""

    def __init__(self, keys: VerificationKeys, keep_for: float) -> None:
        self._keys = keys.or_refuse()
        self._keep_for = keep_for
        self._failing_since: float | None = None

    def current(self) -> VerificationKeys:
        if self._failing_since is not None and time.monotonic() - self._failing_since > self._keep_for:
            raise KeysUnavailable("the issuer's key set has not been readable for too long")
        return self._keys

    async def refresh(self) -> VerificationKeys:
        return self.current()

    async def aclose(self) -> None:
        pass

    def _accept(self, fresh: VerificationKeys) -> None:
        self._failing_since = None
        if fresh != self._keys:
            # An issuer that withdraws every key means it: none is no outage.
            _log.log(
                logging.INFO if fresh.keys else logging.ERROR, "the issuer now has %d usable keys", len(fresh.keys)
            )
            self._keys = fresh

    def _fail(self, reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        age = time.monotonic() - self._failing_since
        _log.warning(
            "the issuer's key set is not readable for %.0f s (%s); the last good keys stay in use", age, reason
        )


class _FileKeys(_HeldKeys):
    def __init__(self, path: Path, keep_for: float) -> None:
        self._path = path
        self._stamp = self._look()
        super().__init__(self._read(), keep_for)

    def current(self) -> VerificationKeys:
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._accept(self._read())
            except KeysUnavailable as error:
                self._fail(str(error))
        return super().current()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> VerificationKeys:
        if not self._path.is_file():
            raise KeysUnavailable("there is no such file")
        try:
            with self._path.open("rb") as file:
                return VerificationKeys.read_json(file.read(_MAX_KEY_SET_BYTES + 1))
        except OSError as error:
            raise KeysUnavailable(f"the file is not readable ({type(error).__name__})") from None


class _UrlKeys(_HeldKeys):
    def __init__(self, client: httpx.AsyncClient, url: str, keys: VerificationKeys, timing: KeyTiming) -> None:
        super().__init__(keys, timing.keep_for)
        self._client, self._url, self._timing = client, url, timing
        self._next_refresh = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._keeping = asyncio.create_task(self._keep_fresh())

    @classmethod
    async def open(cls, url: str, timing: KeyTiming) -> "_UrlKeys":
        client = httpx.AsyncClient(timeout=timing.timeout, follow_redirects=False)
        try:
            return cls(client, url, await _download(client, url, timing), timing)
        except BaseException:
            await client.aclose()
            raise

    async def refresh(self) -> VerificationKeys:
        now = time.monotonic()
        due = now >= self._next_refresh
        if due:
            self._next_refresh = now + self._timing.pause
        if due or self._fetching is not None:
            await self._fetch_once()
        return self.current()

    async def aclose(self) -> None:
        for task in (self._keeping, self._fetching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._client.aclose()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._timing.refresh_after if self._failing_since is None else self._timing.pause)
            await self._fetch_once()

    async def _fetch_once(self) -> None:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: a caller who goes away takes nobody else's answer along.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            self._accept(await _download(self._client, self._url, self._timing))
        except KeysUnavailable as error:
            self._fail(str(error))
        finally:
            self._fetching = None


async def _download(client: httpx.AsyncClient, url: str, timing: KeyTiming) -> VerificationKeys:
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    document = b""
    try:
        # The client bounds each read only, so the whole is bounded here.
        async with asyncio.timeout(timing.timeout), client.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                raise KeysUnavailable(f"the issuer answered {response.status_code}; redirects are not followed")
            # Raw, as a small compressed answer may unfold to any size.
            async for part in response.aiter_raw():
                document += part
                if len(document) > _MAX_KEY_SET_BYTES:
                    break
        return VerificationKeys.read_json(document)
    except KeysUnavailable:
        raise
    except Exception as error:
        # Whatever goes wrong out there is an outage. Only its kind is told: its text may quote a URL with a secret.
        raise KeysUnavailable(f"the issuer does not answer ({type(error).__name__})") from None


def static_keys(jwks: Mapping[str, Any]) -> KeySource:
    """Make a source of a fixed JSON Web Key Set; raises KeysUnavailable if it has no usable key."""
    return _HeldKeys(VerificationKeys.read(jwks), keep_for=0)


async def open_keys(location: str, timing: KeyTiming = DEFAULT_TIMING) -> KeySource:
    """Open the key set at an http(s) URL, or else in a file; raises KeysUnavailable, which names GROUNDS_JWKS."""
    try:
        if not location.lower().startswith(("http://", "https://")):
            return _FileKeys(Path(location), timing.keep_for)
        if location.lower().startswith("http://"):
            _log.warning("GROUNDS_JWKS is fetched without TLS: whoever is on the way can replace the issuer's keys")
        return await _UrlKeys.open(location, timing)
    except KeysUnavailable as error:
        reason = f"GROUNDS_JWKS must be the file or the http(s) URL of a JSON Web Key Set: {error}"
        raise KeysUnavailable(reason) from None
