"""Read a JSON Web Key Set (RFC 7517): the keys that may verify tokens, and the algorithms of each key."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.util import base64_to_int

_EDDSA: Final = frozenset({"EdDSA", "Ed25519"})  # one and the same for a key on that curve (RFC 9864)
_KEY_ALGORITHMS: Final[dict[object, frozenset[str]]] = {
    ("OKP", "Ed25519"): _EDDSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("RSA", None): frozenset({"RS256", "PS256"}),
}
ALGORITHMS: Final = tuple(sorted(frozenset[str]().union(*_KEY_ALGORITHMS.values())))
_PUBLIC_MEMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e"})
_SECRET_MEMBERS: Final = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_MIN_RSA_BITS: Final = 2048
MAX_KEY_SET_BYTES: Final = 256 * 1024

_log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """The failure to get keys that verify tokens. The message is safe to log."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key with the algorithms that it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    thumbprint: str
    key: Key = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VerificationKeys:
    """The public keys of one issuer at one time."""

    keys: tuple[VerificationKey, ...]

    @classmethod
    def read(cls, jwks: object) -> "VerificationKeys":
        """Read the public signature keys of accepted kinds from the issuer's JSON Web Key Set (RFC 7517).

        Raises KeysUnavailable if it is no key set.
        """
        entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(entries, list):
            raise KeysUnavailable("the document is not a JSON Web Key Set, which is an object with a list named keys")
        keys = tuple(key for entry in entries if (key := _verification_key(entry)) is not None)
        if ignored := len(entries) - len(keys):
            _log.info(
                "%d keys of the issuer's key set are ignored, because they are private, symmetric, too short or"
                " unusable",
                ignored,
            )
        return cls(keys)

    @classmethod
    def read_json(cls, document: bytes) -> "VerificationKeys":
        """Read the issuer's JSON Web Key Set from at most 256 KiB of JSON; raises KeysUnavailable."""
        if len(document) > MAX_KEY_SET_BYTES:
            raise KeysUnavailable("the document is longer than 256 KiB")
        try:
            return cls.read(json.loads(document))
        except (ValueError, RecursionError):
            raise KeysUnavailable("the document is not JSON") from None

    def or_refuse(self) -> "VerificationKeys":
        """Return the issuer's keys for verification; raises KeysUnavailable if the set has no usable key."""
        if not self.keys:
            raise KeysUnavailable(
                "the key set contains no public signature key (Ed25519, P-256, P-384, or RSA of at least 2048 bits)"
            )
        return self

    def know(self, kid: str | None) -> bool:
        """Return whether the issuer's key set has a key with this id; a token without a key id can match any key."""
        return kid is None or any(key.kid == kid for key in self.keys)

    def fitting(self, algorithm: str, kid: str | None) -> Iterator[Key]:
        """Yield the issuer's keys that may verify a token's algorithm and do not state another id."""
        for key in self.keys:
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid):
                yield key.key


def _verification_key(jwk: object) -> VerificationKey | None:
    """Read one JSON Web Key; None if it is no public signature key of an accepted kind."""
    if not isinstance(jwk, Mapping) or _SECRET_MEMBERS & jwk.keys():
        return None
    kid, declared = jwk.get("kid"), jwk.get("alg")
    try:
        algorithms = _KEY_ALGORITHMS[jwk.get("kty"), jwk.get("crv")]
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
