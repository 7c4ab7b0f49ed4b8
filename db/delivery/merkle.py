"""Merkle trees of receipts, as RFC 6962 defines them."""

import hashlib
from typing import Final

HASH_BYTES: Final = 32


def merkle_root(leaves: bytes) -> bytes:
    """Compute the Merkle root of the ledger's leaf hashes, 32 bytes each (RFC 6962, section 2.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    level = leaves
    while len(level) > HASH_BYTES:
        paired = len(level) - len(level) % (2 * HASH_BYTES)
        nodes = [hashlib.sha256(b"\x01" + level[at : at + 64]).digest() for at in range(0, paired, 64)]
        level = b"".join(nodes) + level[paired:]  # who has no neighbour goes up as it is
    return level
