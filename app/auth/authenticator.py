"""Authentication: convert a bearer token to an actor, or refuse the token. There are no anonymous actors.

A token is a JSON Web Token (RFC 7519) with an asymmetric signature (RFC 7515), checked as RFC 8725 asks.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.registry import JWS_HEADER_REGISTRY

from app.auth.jwks import ALGORITHMS, KeysUnavailable, VerificationKeys
from app.auth.token_claims import TokenRules, actor_of_claims, find_claim
from app.telemetry import observe
from schema.actor import Actor

_log = logging.getLogger(__name__)

MAX_TOKEN_BYTES: Final = 8 * 1024
DEFAULT_RULES: Final = TokenRules()

_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)")
_MAX_REMEMBERED_TOKENS: Final = 4096
_LAST_INSTANT: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


class Unauthorized(Exception):
    """The refusal of a request without a valid token.

    `reason` is safe to send: it says what to do and quotes no token. `code` names the kind of the reason in metrics.
    """

    def __init__(self, reason: str, code: str = "malformed") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def _signatures() -> jws.JWSRegistry:
    """Make the registry of the signature algorithms that a bearer token can have."""
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    # The library warns of the family name EdDSA (RFC 9864); here it always means Ed25519.
    models = jws.JWSRegistry.algorithms
    registry.algorithms = {name: models["Ed25519" if name == "EdDSA" else name] for name in ALGORITHMS}
    # Not so much as looked at: keys, and places of keys, that a token brings along.
    registry.header_registry = {name: JWS_HEADER_REGISTRY[name] for name in ("alg", "kid")}
    registry.max_header_length = registry.max_payload_length = registry.max_signature_length = MAX_TOKEN_BYTES
    return registry


_SIGNATURES: Final = _signatures()


class TrustedKeys:
    """The keys that verify tokens. If newer keys cannot be read, the last good keys stay in use.

    They are kept through an outage of their source for at most `keep_for` seconds from its start.
    """

    def __init__(self, keys: VerificationKeys, keep_for: float = 0.0) -> None:
        self._keys = keys.or_refuse()
        self._keep_for = keep_for
        self._failing_since: float | None = None

    def current(self) -> VerificationKeys:
        """Return the public keys that verify tokens, the same object until they change; raises KeysUnavailable."""
        if self._failing_since is not None and time.monotonic() - self._failing_since > self._keep_for:
            raise KeysUnavailable("the issuer's key set has been unreadable for too long")
        return self._keys

    async def refresh(self) -> VerificationKeys:
        """Look for newer keys of the issuer, because a token names an unknown key; raises KeysUnavailable."""
        return self.current()

    async def aclose(self) -> None:
        """Close the connections of the source of the issuer's keys."""

    def accept(self, fresh: VerificationKeys) -> None:
        """Verify tokens with these keys from now on."""
        self._failing_since = None
        if fresh != self._keys:
            # An issuer that withdraws every key means it: none is no outage.
            _log.log(
                logging.INFO if fresh.keys else logging.ERROR, "the issuer now has %d usable keys", len(fresh.keys)
            )
            self._keys = fresh

    def fail(self, reason: str) -> None:
        """Note that the source of the issuer's keys cannot be read, and why."""
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        age = time.monotonic() - self._failing_since
        _log.warning(
            "the issuer's key set has been unreadable for %.0f s (%s); the gateway uses the last keys that it read",
            age,
            reason,
        )

    @property
    def failing(self) -> bool:
        """Return whether the source of the issuer's keys could not be read the last time."""
        return self._failing_since is not None


def static_keys(jwks: Mapping[str, Any]) -> TrustedKeys:
    """Trust a fixed JSON Web Key Set; raises KeysUnavailable if it has no usable key."""
    return TrustedKeys(VerificationKeys.read(jwks))


class Authenticator:
    """The check that turns the value of an Authorization header into an Actor."""

    def __init__(
        self,
        keys: TrustedKeys,
        *,
        issuer: str,
        audience: str,
        rules: TokenRules = DEFAULT_RULES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("authentication needs an issuer and an audience: without them any token would be accepted")
        self._source, self._issuer, self._audience = keys, issuer, audience
        self._rules, self._leeway, self._clock = rules, rules.leeway_seconds, clock
        self._remembered: dict[bytes, tuple[Actor, float]] = {}
        self._remembered_under: VerificationKeys | None = None

    async def actor(self, authorization: str | None) -> Actor:
        """Return the actor of a bearer token; raises Unauthorized for everything but one valid token (RFC 6750)."""
        actor, _ = await self.identify(authorization)
        observe.bearer(actor.role, actor.client)
        return actor

    async def identify(self, authorization: str | None) -> tuple[Actor, float]:
        """Return the actor of a bearer token and when it expires, in seconds since 1970; raises Unauthorized."""
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
            raise Unauthorized(
                "the issuer's keys cannot be read at the moment (try again later)", "keys_unavailable"
            ) from None
        if not verified:
            raise Unauthorized(
                "the token's signature matches no key of the issuer (ask the issuer for a new token)", "signature"
            )
        claims = _claims(signature.payload)
        expires = self._check_claims(claims)
        actor = self._actor(claims)
        self._remember(keys, digest, actor, expires)
        return actor, expires

    async def aclose(self) -> None:
        """Close the source of the issuer's keys."""
        await self._source.aclose()

    def _recall(self, keys: VerificationKeys, digest: bytes) -> tuple[Actor, float] | None:
        """Return the remembered actor of a bearer token with its expiry; None if the issuer's keys have changed."""
        remembered = self._remembered.get(digest) if keys is self._remembered_under else None
        if remembered is None or self._clock() >= remembered[1] + self._leeway:
            return None
        return remembered

    def _remember(self, keys: VerificationKeys, digest: bytes, actor: Actor, expires: float) -> None:
        """Remember the actor of a verified bearer token, and forget the oldest one where there are too many."""
        if keys is not self._remembered_under:
            self._remembered, self._remembered_under = {}, keys
        elif len(self._remembered) >= _MAX_REMEMBERED_TOKENS:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (actor, expires)

    def _actor(self, claims: dict[str, Any]) -> Actor:
        """Make the actor that the claims of a bearer token describe; raises Unauthorized."""
        try:
            return actor_of_claims(claims, self._rules)
        except ValueError as fault:
            raise Unauthorized(f"the token's claim {fault} (ask the issuer to correct it)", "claims") from None

    def _check_claims(self, claims: dict[str, Any]) -> float:
        """Check the audience, issuer and times that a bearer token claims; return when it expires."""
        now, audience = self._clock(), find_claim(claims, self._rules.audience)
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(name, str) for name in audiences) or self._audience not in audiences:
            raise Unauthorized(
                "the token's audience is not this gateway (ask the issuer for a token with the gateway's audience)",
                "audience",
            )
        if claims.get("iss") != self._issuer:
            raise Unauthorized(
                "the token is from an issuer that this gateway does not trust (ask the trusted issuer for a token)",
                "issuer",
            )
        issued, expires = _time_claim(claims, "iat"), _time_claim(claims, "exp")
        if now >= expires + self._leeway:
            raise Unauthorized("the token has expired (ask the issuer for a new token)", "expired")
        valid_from = max(issued, _time_claim(claims, "nbf")) if "nbf" in claims else issued
        if valid_from > now + self._leeway:
            raise Unauthorized(
                "the token is not valid yet (check the clocks of the issuer and the gateway)", "not_yet_valid"
            )
        if not 0 < expires - issued <= self._rules.lifetime_seconds:
            raise Unauthorized(
                f"the token is valid for more than {self._rules.lifetime_seconds} seconds (ask the issuer for a token"
                " with a shorter lifetime)",
                "lifetime",
            )
        return expires


def _bearer_token(authorization: str | None) -> bytes:
    """Take the bearer token out of an Authorization header; raises Unauthorized."""
    if not authorization:
        raise Unauthorized("the bearer token is missing (send the header Authorization: Bearer <token>)", "missing")
    if len(authorization) > MAX_TOKEN_BYTES + len("Bearer "):
        raise Unauthorized("the token is longer than 8 KiB (ask the issuer for a token with fewer claims)")
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise Unauthorized(
            "the header Authorization is malformed (send the word Bearer and exactly one signed JSON Web Token)"
        )
    return match[1].encode("ascii")


def _signature(token: bytes) -> jws.CompactSignature:
    """Parse a bearer token as a JSON Web Signature; raises Unauthorized."""
    malformed = Unauthorized("the token is malformed (ask the issuer for a new token)")
    try:
        signature = jws.extract_compact(token, registry=_SIGNATURES)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise malformed from None
    header: object = signature.headers()
    if not isinstance(header, dict) or not isinstance(header.get("kid", ""), str):
        raise malformed
    if "crit" in header:
        raise Unauthorized(
            "the token's header crit requires an extension that the gateway does not know (ask the issuer for a"
            " token without crit)"
        )
    algorithm = header["alg"]
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unauthorized(
            f"the token's algorithm is not accepted (ask the issuer to sign with one of {', '.join(ALGORITHMS)})"
        )
    return signature


def _verify(keys: VerificationKeys, signature: jws.CompactSignature) -> bool:
    """Return whether one of the issuer's keys verifies the signature of a bearer token."""
    header = signature.headers()
    candidates = keys.fitting(header["alg"], header.get("kid"))
    return any(jws.validate_compact(signature, key, registry=_SIGNATURES) for key in candidates)


def _claims(payload: bytes) -> dict[str, Any]:
    """Parse the claims of a bearer token; raises Unauthorized unless they are a JSON object."""
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Unauthorized("the token's claims are not a JSON object (ask the issuer for a new token)", "claims")
    return claims


def _time_claim(claims: dict[str, Any], name: str) -> float:
    """Return an instant that a bearer token claims, in seconds since 1970; raises Unauthorized."""
    value = claims.get(name)
    # NaN and the infinities, which Python reads from JSON, are in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_INSTANT:
        raise Unauthorized(
            f"the token's claim {name} is missing or is not a valid time (ask the issuer to state seconds since 1970)",
            "claims",
        )
    return value
