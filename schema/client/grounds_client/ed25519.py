"""Verification of Ed25519 signatures (RFC 8032) in Python alone, for one signature at a time.

Verification handles no secret, so that its duration may depend on the input.
"""

import hashlib
from typing import Final

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]  # extended coordinates: X, Y, Z and T with x = X/Z, y = Y/Z and xy = T/Z


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a message has an Ed25519 signature by a key."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = _decode_point(public_key), _decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    return _are_equal(_times(scalar, _BASE), _add(commitment, _times(challenge, key)))


def _decode_point(encoded: bytes) -> _Point | None:
    """Decode a point of the curve (RFC 8032, section 5.1.3); None if there is no such point."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(first: _Point, second: _Point) -> _Point:
    """Add two points of the curve (RFC 8032, section 5.1.4)."""
    a = (first[1] - first[0]) * (second[1] - second[0]) % _P
    b = (first[1] + first[0]) * (second[1] + second[0]) % _P
    c = 2 * first[3] * second[3] * _D % _P
    d = 2 * first[2] * second[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    """Multiply a point of the curve by a number."""
    product: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point = _add(point, point)
        scalar >>= 1
    return product


def _are_equal(first: _Point, second: _Point) -> bool:
    """Return whether two points of the curve are the same."""
    return (first[0] * second[2] - second[0] * first[2]) % _P == 0 == (first[1] * second[2] - second[1] * first[2]) % _P


_base = _decode_point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
assert _base is not None, "the base point of the curve"
_BASE: Final = _base
