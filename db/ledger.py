"""The ledger of deliveries: receipts are chained in batches, each sealed by a signed checkpoint.

A checkpoint's root is that of a Merkle tree (RFC 6962) over its receipts, in the order of their numbers; the leaf of a
receipt is what PostgreSQL's grounds.receipt_leaf says. Checkpoints follow each other without a gap, from receipt 1 on.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from db.session import Connection

HASH_BYTES: Final = 32
AT_MOST: Final = 10_000
_NOTHING_BEFORE: Final = bytes(HASH_BYTES)


def signing_key(secret: bytes) -> Ed25519PrivateKey:
    """Derive the key that seals checkpoints from the gateway's secret."""
    seed = HKDF(SHA256(), length=32, salt=None, info=b"grounds ledger").derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)


def merkle_root(leaves: bytes) -> bytes:
    """Compute the root of leaf hashes that stand one behind the other, 32 bytes each (RFC 6962, section 2.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    level = leaves
    while len(level) > HASH_BYTES:
        paired = len(level) - len(level) % (2 * HASH_BYTES)
        nodes = [hashlib.sha256(b"\x01" + level[at : at + 64]).digest() for at in range(0, paired, 64)]
        level = b"".join(nodes) + level[paired:]  # who has no neighbour goes up as it is
    return level


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold what one checkpoint says of the receipts from `first_receipt` to `last_receipt`, both included."""

    number: int
    first_receipt: int
    last_receipt: int
    receipts: int
    root: bytes
    previous: bytes
    sealed_at: str
    """In UTC, as ISO 8601 writes it, without the offset."""
    signature: bytes = b""

    @property
    def text(self) -> bytes:
        """Write what is signed, the same everywhere: a line a part."""
        parts = {
            "number": self.number,
            "first receipt": self.first_receipt,
            "last receipt": self.last_receipt,
            "receipts": self.receipts,
            "root": self.root.hex(),
            "previous": self.previous.hex(),
            "sealed at": f"{self.sealed_at}Z",
        }
        return "\n".join(["grounds checkpoint 1", *(f"{name}: {part}" for name, part in parts.items()), ""]).encode()

    @property
    def digest(self) -> bytes:
        """Give the SHA-256 of the text, by which the next checkpoint names this one."""
        return hashlib.sha256(self.text).digest()

    def signed(self, key: Ed25519PrivateKey) -> "Checkpoint":
        """Sign it."""
        return replace(self, signature=key.sign(self.text))

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Say whether the signature is this key's, over this very text."""
        try:
            key.verify(self.signature, self.text)
        except InvalidSignature:
            return False
        return True


# An instant is written as JSON has it: alike whatever the session's settings are, and for every value.
COLUMNS: Final = (
    "number, first_receipt, last_receipt, receipts, root, previous,"
    " to_jsonb(sealed_at AT TIME ZONE 'UTC') #>> '{}' AS sealed_at, signature"
)


def following(before: Checkpoint | None, last_receipt: int, leaves: bytes, sealed_at: str) -> Checkpoint:
    """Make the checkpoint that continues a chain, unsigned; None begins one."""
    return Checkpoint(
        number=before.number + 1 if before else 1,
        first_receipt=before.last_receipt + 1 if before else 1,
        last_receipt=last_receipt,
        receipts=len(leaves) // HASH_BYTES,
        root=merkle_root(leaves),
        previous=before.digest if before else _NOTHING_BEFORE,
        sealed_at=sealed_at,
    )


async def seal(connection: Connection, key: Ed25519PrivateKey, at_most: int = AT_MOST) -> int:
    """Seal the receipts that are settled, at most so many, as the worker; give how many if more of them may wait.

    Else it gives 0: a duty that did something goes on at once, and would seal each page by itself. The connection is in
    a READ COMMITTED transaction, and no other process seals meanwhile.
    """
    before = await connection.fetchrow(f"SELECT {COLUMNS} FROM grounds.newest_checkpoint()")
    fresh = await connection.fetchrow(
        "SELECT last_receipt, leaves, to_jsonb(grounds.decision_time() AT TIME ZONE 'UTC') #>> '{}' AS sealed_at"
        " FROM grounds.unsealed_receipts($1)",
        at_most,
    )
    if fresh is None or fresh["leaves"] is None:
        return 0
    made = following(Checkpoint(*before) if before else None, *fresh).signed(key)
    *said, _, signature = astuple(made)
    sealed_at = datetime.fromisoformat(f"{made.sealed_at}Z")
    statement = "SELECT grounds.add_checkpoint($1, $2, $3, $4, $5, $6, $7, $8)"
    await connection.execute(statement, *said, sealed_at, signature)
    return made.receipts if made.receipts == at_most else 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold a checkpoint that was stored elsewhere, and where it was read from."""

    name: str
    checkpoint: Checkpoint


@dataclass
class Audit:
    """Follow a chain from its begin, and note in words everything that is not as it was sealed."""

    key: Ed25519PublicKey
    kept: Sequence[Kept] = ()
    newest: Checkpoint | None = None
    checkpoints: int = 0
    receipts: int = 0
    unsealed: int = 0
    """How many receipts came after the newest checkpoint."""
    _found: list[tuple[int, str]] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)
    _trusted: bool = True

    def __post_init__(self) -> None:
        """Keep to what was kept in earnest."""
        for kept in self.kept:
            if not kept.checkpoint.is_signed_by(self.key):
                self.note(0, f"{kept.name}: was edited, or signed with another key")
        self.kept = [kept for kept in self.kept if kept.checkpoint.is_signed_by(self.key)]

    @property
    def findings(self) -> list[str]:
        """Give what was found, in the order of the checkpoints."""
        return [text for _, text in sorted(self._found)]

    def note(self, number: int, text: str) -> None:
        """Note something about a checkpoint."""
        self._found.append((number, text))

    def follow(self, checkpoint: Checkpoint) -> bool:
        """Hold a checkpoint against its signature and the one before; say whether it can vouch for its receipts."""
        number, before, trusted_before = checkpoint.number, self.newest, self._trusted
        here = f"checkpoint {number} (receipts {checkpoint.first_receipt} to {checkpoint.last_receipt})"
        expected = following(before, 0, b"", "")
        self.newest, self._trusted = checkpoint, checkpoint.is_signed_by(self.key)
        self.checkpoints += 1
        if number > expected.number:
            gone = _from_to("checkpoint", expected.number, number - 1)
            uncovered = _from_to("receipt", expected.first_receipt, checkpoint.first_receipt - 1)
            self.note(number, f"missing: {gone}; nothing vouches for {uncovered}")
        elif number < expected.number:
            self.note(number, f"{here} was added")
        if not self._trusted:
            self.note(number, f"{here} was edited, or signed with another key")
        elif number == expected.number and trusted_before and not _continues(checkpoint, expected):
            self.note(number, f"{here} does not continue the one before: the chain was rewritten")
        self._compare(checkpoint)
        return self._trusted

    def weigh(self, checkpoint: Checkpoint, leaves: bytes) -> None:
        """Hold the receipts that are there against the checkpoint that vouches for them."""
        there, sealed = len(leaves) // HASH_BYTES, checkpoint.receipts
        self.receipts += there
        here = f"checkpoint {checkpoint.number} (receipts {checkpoint.first_receipt} to {checkpoint.last_receipt})"
        if there < sealed:
            self.note(checkpoint.number, f"{here}: {sealed - there} of its {sealed} receipts are missing")
        elif there > sealed:
            self.note(checkpoint.number, f"{here}: {there - sealed} receipts were added to its {sealed}")
        elif merkle_root(leaves) != checkpoint.root:
            self.note(checkpoint.number, f"{here}: receipts among its {sealed} were edited or swapped")

    def finish(self) -> None:
        """Look for what was kept elsewhere and is not there."""
        last = f"checkpoint {self.newest.number}" if self.newest else "nothing sealed"
        for kept in self.kept:
            number = kept.checkpoint.number
            if number not in self._met:
                self.note(number, f"{kept.name}: checkpoint {number} is gone: the ledger ends with {last}")

    def _compare(self, checkpoint: Checkpoint) -> None:
        for kept in self.kept:
            if kept.checkpoint.number == checkpoint.number:
                self._met.add(checkpoint.number)
                if kept.checkpoint != checkpoint:
                    text = f"{kept.name}: checkpoint {checkpoint.number} is another one now: the ledger was rewritten"
                    self.note(checkpoint.number, text)


def _continues(checkpoint: Checkpoint, expected: Checkpoint) -> bool:
    return (checkpoint.previous, checkpoint.first_receipt) == (expected.previous, expected.first_receipt)


def _from_to(what: str, first: int, last: int) -> str:
    return f"{what} {first}" if first >= last else f"{what}s {first} to {last}"


async def verify(
    connections: Sequence[Connection], audit: Audit, tell: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Re-derive every root, link and signature, and note what is not as it was sealed.

    The connections are the administrator's, each in a READ COMMITTED transaction; they share the work. `tell` is told
    how many receipts are done, and how many there are in all.
    """
    first = connections[0]
    for connection in connections:
        await connection.execute(_AS_THE_OWNER)
    if await first.fetchval(_LEAF_FUNCTION) != _leaf_function():
        audit.note(0, "grounds.receipt_leaf was replaced: the database does not say what its receipts hold")
    total = await first.fetchval("SELECT coalesce(sum(receipts), 0)::bigint FROM grounds.checkpoint")

    def told() -> None:
        tell(audit.receipts, total)

    cursor = await first.cursor(f"SELECT {COLUMNS} FROM grounds.checkpoint ORDER BY number")
    while rows := await cursor.fetch(_CHECKPOINTS_AT_ONCE):
        portions = _portions([made for row in rows if audit.follow(made := Checkpoint(*row))])
        await asyncio.gather(*(_weigh(connection, audit, portions, told) for connection in connections))
    last = audit.newest.last_receipt if audit.newest else 0
    audit.unsealed = await first.fetchval("SELECT count(*) FROM grounds.delivery WHERE id > $1", last)
    if early := await first.fetchval("SELECT count(*) FROM grounds.delivery WHERE id < 1"):
        audit.note(0, f"{early} receipts were added before the first")
    audit.finish()


async def record_verification(connection: Connection, audit: Audit) -> None:
    """Keep what a verification found, where officers see it. The connection is the administrator's."""
    up_to = datetime.fromisoformat(f"{audit.newest.sealed_at}Z") if audit.newest else None
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE grounds_owner")
        await connection.execute(
            "INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings, up_to)"
            " VALUES ($1, $2, $3, $4, $5)",
            *(audit.checkpoints, audit.receipts, audit.unsealed, len(audit.findings), up_to),
        )


async def _weigh(
    connection: Connection, audit: Audit, portions: Iterator[list[Checkpoint]], told: Callable[[], object]
) -> None:
    """Weigh portions until there is none left; others take from them too."""
    for portion in portions:
        rows = await connection.fetch(
            _LEAVES, [each.first_receipt for each in portion], [each.last_receipt for each in portion]
        )
        for checkpoint, (leaves,) in zip(portion, rows, strict=True):
            audit.weigh(checkpoint, leaves or b"")
        told()


def _portions(checkpoints: Sequence[Checkpoint]) -> Iterator[list[Checkpoint]]:
    """Put checkpoints together until there are enough receipts for a round trip."""
    portion: list[Checkpoint] = []
    for checkpoint in checkpoints:
        portion.append(checkpoint)
        if sum(each.receipts for each in portion) >= _RECEIPTS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


_CHECKPOINTS_AT_ONCE: Final = 500
_RECEIPTS_AT_ONCE: Final = 10_000
_AS_THE_OWNER: Final = (
    "SET LOCAL ROLE grounds_owner; SET LOCAL grounds.duty = 'verify'; SET LOCAL search_path = pg_catalog;"
    " SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
)
_LEAVES: Final = """
SELECT (SELECT string_agg(grounds.receipt_leaf(d), ''::bytea ORDER BY d.id) FROM grounds.delivery d
        WHERE d.id BETWEEN r.first AND r.last)
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY r (first, last, place) ORDER BY r.place
"""
_LEAF_FUNCTION: Final = "SELECT prosrc FROM pg_proc WHERE oid = 'grounds.receipt_leaf'::regproc AND proconfig IS NULL"


def _leaf_function() -> str:
    """Read from the migration what the function says that hashes receipts: whoever replaces it could hide the rest."""
    written = (Path(__file__).parent / "migrations" / "sql" / "0006_ledger.sql").read_text(encoding="utf-8")
    return written.partition("CREATE FUNCTION grounds.receipt_leaf(")[2].split("$$")[1]
