"""Authentication: a bearer token becomes an Actor or is refused; nobody is anonymous.

A token is a JSON Web Token (RFC 7519) with an asymmetric signature (RFC 7515), checked as RFC 8725 asks.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.registry import JWS_HEADER_REGISTRY

from app.issuer import MAX_LIFETIME_SECONDS, PURPOSE_NAME, is_identifier
from app.keys import ALGORITHMS, KeySource, KeysUnavailable, VerificationKeys, open_keys, static_keys
from schema.actor import CLIENT_NAME, Actor, Role

__all__ = ["Authenticator", "KeySource", "KeysUnavailable", "Unauthorized", "open_keys", "static_keys"]

MAX_TOKEN_BYTES: Final = 8 * 1024

_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
_MAX_REMEMBERED_TOKENS: Final = 4096
_LAST_INSTANT: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


class Unauthorized(Exception):
    """Refuse a request whose bearer is not known; `reason` is safe to send: it says what to do and quotes no token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _signatures() -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    # The library warns of the family name EdDSA (RFC 9864); here it always means Ed25519.
    models = jws.JWSRegistry.algorithms
    registry.algorithms = {name: models["Ed25519" if name == "EdDSA" else name] for name in ALGORITHMS}
    # Not so much as looked at: keys, and places of keys, that a token brings along.
    registry.header_registry = {name: JWS_HEADER_REGISTRY[name] for name in ("alg", "kid")}
    registry.max_header_length = registry.max_payload_length = registry.max_signature_length = MAX_TOKEN_BYTES
    return registry


_SIGNATURES: Final = _signatures()


class Authenticator:
    """Turn the value of an Authorization header into an Actor."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        leeway_seconds: int = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("authentication needs an issuer and an audience: without them anybody's tokens would do")
        self._source, self._issuer, self._audience = keys, issuer, audience
        self._leeway, self._clock = leeway_seconds, clock
        self._remembered: dict[bytes, tuple[Actor, float]] = {}
        self._remembered_under: VerificationKeys | None = None

    async def actor(self, authorization: str | None) -> Actor:
        """Return who asks; raises Unauthorized for everything but one valid bearer token (RFC 6750)."""
        actor, _ = await self.identify(authorization)
        return actor

    async def identify(self, authorization: str | None) -> tuple[Actor, float]:
        """Return who asks and when the token expires, in seconds since 1970; raises Unauthorized as `actor` does."""
        token = _bearer_token(authorization)
        digest = hashlib.sha256(token).digest()
        try:
            keys = self._source.current()
            if (remembered := self._recall(keys, digest)) is not None:
                return remembered
            signature = _signature(token)
            verified = _verify(keys, signature)
            if not verified and not keys.know(signature.headers().get("kid")):
                keys = await self._source.refresh()
                verified = _verify(keys, signature)
        except KeysUnavailable:
            raise Unauthorized("the issuer's keys cannot be read at the moment; try again later") from None
        if not verified:
            raise Unauthorized("no key of the issuer made the token's signature; ask the issuer for a new one")
        claims = _claims(signature.payload)
        expires = self._check(claims)
        actor = _actor(claims)
        self._remember(keys, digest, actor, expires)
        return actor, expires

    async def aclose(self) -> None:
        """Close the key source."""
        await self._source.aclose()

    def _recall(self, keys: VerificationKeys, digest: bytes) -> tuple[Actor, float] | None:
        remembered = self._remembered.get(digest) if keys is self._remembered_under else None
        if remembered is None or self._clock() >= remembered[1] + self._leeway:
            return None
        return remembered

    def _remember(self, keys: VerificationKeys, digest: bytes, actor: Actor, expires: float) -> None:
        if keys is not self._remembered_under:
            self._remembered, self._remembered_under = {}, keys
        elif len(self._remembered) >= _MAX_REMEMBERED_TOKENS:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (actor, expires)

    def _check(self, claims: dict[str, Any]) -> float:
        now, audience = self._clock(), claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(name, str) for name in audiences) or self._audience not in audiences:
            raise Unauthorized("the token is not meant for this gateway; ask for one with the gateway's audience")
        if claims.get("iss") != self._issuer:
            raise Unauthorized("the token is not of the issuer that this gateway trusts; ask that issuer for one")
        issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
        if now >= expires + self._leeway:
            raise Unauthorized("the token expired; ask the issuer for a new one")
        valid_from = max(issued, _instant(claims, "nbf")) if "nbf" in claims else issued
        if valid_from > now + self._leeway:
            raise Unauthorized("the token is not valid yet; check the clocks of the issuer and the gateway")
        if not 0 < expires - issued <= MAX_LIFETIME_SECONDS:
            raise Unauthorized("the token must live for one hour at most; ask the issuer for a shorter one")
        return expires


def read_signed(token: str, keys: VerificationKeys) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token that one of the keys made; raises Unauthorized. No claim is checked."""
    signature = _signature(token.encode()[: MAX_TOKEN_BYTES + 1])
    if not _verify(keys, signature):
        raise Unauthorized("no key of the issuer made the token's signature; ask the issuer for a new one")
    return dict(signature.headers()), _claims(signature.payload)


def _bearer_token(authorization: str | None) -> bytes:
    if not authorization:
        raise Unauthorized("there is no bearer token; send the header Authorization: Bearer <token>")
    if len(authorization) > MAX_TOKEN_BYTES + len("Bearer "):
        raise Unauthorized("the token is longer than 8 KiB; ask the issuer for one with fewer claims")
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise Unauthorized("the header Authorization must hold the word Bearer and exactly one signed JSON Web Token")
    return match[1].encode("ascii")


def _signature(token: bytes) -> jws.CompactSignature:
    malformed = Unauthorized("the token is malformed; ask the issuer for a new one")
    try:
        signature = jws.extract_compact(token, registry=_SIGNATURES)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise malformed from None
    header: object = signature.headers()
    if not isinstance(header, dict) or not isinstance(header.get("kid", ""), str):
        raise malformed
    if "crit" in header:
        raise Unauthorized("the token demands an extension (crit) that is not known here; ask for one without it")
    algorithm = header["alg"]
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unauthorized(f"the token's algorithm is not accepted; sign with one of {', '.join(ALGORITHMS)}")
    return signature


def _verify(keys: VerificationKeys, signature: jws.CompactSignature) -> bool:
    header = signature.headers()
    candidates = keys.fitting(header["alg"], header.get("kid"))
    return any(jws.validate_compact(signature, key, registry=_SIGNATURES) for key in candidates)


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Unauthorized("the token's claims are not a JSON object; ask the issuer for a new one")
    return claims


def _instant(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    # NaN and the infinities, which Python reads from JSON, are in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_INSTANT:
        raise Unauthorized(f"the token's claim {name} is missing or no point in time; ask the issuer to state it")
    return value


def _actor(claims: dict[str, Any]) -> Actor:
    name = _stated(claims, "sub", is_identifier)
    try:
        role = Role(claims.get("role", ""))
    except ValueError:
        raise Unauthorized("the token's claim role names no role known here; ask the issuer to state it") from None
    if role is Role.TRAINING_CLIENT:
        client = _stated(claims, "client", CLIENT_NAME.fullmatch)
        return Actor(name, role, client=client, purpose=_stated(claims, "purpose", PURPOSE_NAME.fullmatch))
    if role is Role.DATA_SUBJECT:
        return Actor(name, role, subject=_stated(claims, "subject", is_identifier))
    return Actor(name, role)


def _stated(claims: dict[str, Any], name: str, is_well_formed: Callable[[str], object]) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not is_well_formed(value):
        raise Unauthorized(f"the token's claim {name} is missing or malformed; ask the issuer to state it")
    return value
