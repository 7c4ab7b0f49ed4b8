"""The ledger of deliveries: receipts are chained in batches, each sealed by a signed checkpoint.

A checkpoint's root is that of a Merkle tree (RFC 6962) over its receipts, in the order of their numbers; the leaf of a
receipt is what PostgreSQL's grounds.receipt_leaf says. Checkpoints follow each other without a gap, from receipt 1 on.
A checkpoint also names the newest read of people's data by staff: each read is chained by a digest of itself and of the
read before, so that one digest vouches for all.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from db.access.role_names import BECOME_OWNER
from db.connection import Connection
from db.delivery.merkle import HASH_BYTES, merkle_root
from db.secrets import KeyUse, derive_key

MAX_RECEIPTS_PER_CHECKPOINT: Final = 10_000
_NOTHING_BEFORE: Final = bytes(HASH_BYTES)


def signing_key(secret: bytes) -> Ed25519PrivateKey:
    """Derive the key that seals the ledger's checkpoints from the gateway's secret."""
    return Ed25519PrivateKey.from_private_bytes(derive_key(secret, KeyUse.LEDGER))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of the receipts from `first_receipt` to `last_receipt`, both included."""

    number: int
    first_receipt: int
    last_receipt: int
    receipts: int
    staff_reads: int
    """The number of all reads by staff that are sealed by this checkpoint or an earlier one."""
    staff_read_digest: bytes
    """The digest of the last sealed read by staff; empty if there is none."""
    incarnation: int
    """The incarnation of the database, which changes when the database is restored."""
    public_key: bytes
    """The public key of the signature, which changes when the secret is rotated."""
    root: bytes
    previous: bytes
    sealed_at: str
    """The time of the seal in UTC, in the format of ISO 8601 without an offset."""
    signature: bytes = b""

    @property
    def text(self) -> bytes:
        """Write the text of a ledger's checkpoint that is signed: a line per part."""
        parts = {
            "number": self.number,
            "first receipt": self.first_receipt,
            "last receipt": self.last_receipt,
            "receipts": self.receipts,
            "staff reads": self.staff_reads,
            "staff read digest": self.staff_read_digest.hex(),
            "incarnation": self.incarnation,
            "public key": self.public_key.hex(),
            "root": self.root.hex(),
            "previous": self.previous.hex(),
            "sealed at": f"{self.sealed_at}Z",
        }
        return "\n".join(["grounds checkpoint 1", *(f"{name}: {part}" for name, part in parts.items()), ""]).encode()

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of a ledger's checkpoint, which the next checkpoint contains."""
        return hashlib.sha256(self.text).digest()

    def signed(self, key: Ed25519PrivateKey) -> "Checkpoint":
        """Sign a ledger's checkpoint."""
        named = replace(self, public_key=key.public_key().public_bytes_raw())
        return replace(named, signature=key.sign(named.text))

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Return whether the signature of a ledger's checkpoint is this key's, over this very text."""
        try:
            key.verify(self.signature, self.text)
        except InvalidSignature:
            return False
        return self.public_key == key.public_bytes_raw()


# An instant is written as JSON has it: alike whatever the session's settings are, and for every value.
COLUMNS: Final = (
    "number, first_receipt, last_receipt, receipts, staff_reads, staff_read_digest, incarnation, public_key, root,"
    " previous, to_jsonb(sealed_at AT TIME ZONE 'UTC') #>> '{}' AS sealed_at, signature"
)


def following(
    before: Checkpoint | None,
    last_receipt: int,
    leaves: bytes,
    sealed_at: str,
    staff_reads: int = 0,
    staff_read_digest: bytes = b"",
    incarnation: int = 0,
) -> Checkpoint:
    """Make the checkpoint that continues the ledger's chain, unsigned; None begins one."""
    return Checkpoint(
        number=before.number + 1 if before else 1,
        first_receipt=before.last_receipt + 1 if before else 1,
        last_receipt=last_receipt,
        receipts=len(leaves) // HASH_BYTES,
        staff_reads=staff_reads,
        staff_read_digest=staff_read_digest,
        incarnation=incarnation,
        public_key=b"",
        root=merkle_root(leaves),
        previous=before.digest if before else _NOTHING_BEFORE,
        sealed_at=sealed_at,
    )


async def seal_receipts(
    connection: Connection, key: Ed25519PrivateKey, at_most: int = MAX_RECEIPTS_PER_CHECKPOINT
) -> int:
    """Seal the ledger's settled receipts and the reads by staff, at most `at_most` of each, as the worker.

    Return how many receipts were sealed if more of them may wait, else 0: a job that did something goes on at once, and
    would seal each page by itself. The connection is in a READ COMMITTED transaction, and no other process seals
    meanwhile.
    """
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM grounds.newest_checkpoint()")
    before = Checkpoint(*row) if row else None
    fresh = await connection.fetchrow(
        "SELECT last_receipt, leaves, to_jsonb(grounds.decision_time() AT TIME ZONE 'UTC') #>> '{}' AS sealed_at"
        ", staff_reads, digest, grounds.current_incarnation() AS incarnation"
        " FROM grounds.unsealed_receipts($1), grounds.chain_staff_reads($1)",
        at_most,
    )
    assert fresh is not None, "both functions give one row"
    last_receipt, leaves, at, *reads = fresh
    if leaves is None:
        if reads[0] == (before.staff_reads if before else 0):
            return 0
        last_receipt, leaves = before.last_receipt if before else 0, b""
    made = following(before, last_receipt, leaves, at, *reads).signed(key)
    *said, _, signature = astuple(made)
    sealed_at = datetime.fromisoformat(f"{made.sealed_at}Z")
    statement = "SELECT grounds.add_checkpoint($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    await connection.execute(statement, *said, sealed_at, signature)
    return made.receipts if made.receipts == at_most else 0


@dataclass(frozen=True, slots=True)
class TrustedCheckpoint:
    """A checkpoint that was stored elsewhere, and the place that it was read from."""

    name: str
    checkpoint: Checkpoint


@dataclass
class Audit:
    """The verification of a chain from its start; `findings` describes every difference from the checkpoints."""

    key: Ed25519PublicKey
    kept: Sequence[TrustedCheckpoint] = ()
    previous_keys: Sequence[Ed25519PublicKey] = ()
    """The public keys of previous secrets, with which older checkpoints are signed."""
    newest: Checkpoint | None = None
    checkpoints: int = 0
    receipts: int = 0
    unsealed: int = 0
    """The number of receipts after the newest checkpoint."""
    staff_reads: int = 0
    """The number of reads by staff that were verified."""
    unsealed_reads: int = 0
    sealed_reads: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """For each sealed number of reads by staff: the first checkpoint with this number, and the digest of the reads."""
    _found: list[tuple[int, str]] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)
    _trusted: bool = True

    def __post_init__(self) -> None:
        """Drop the exported checkpoints that no key of the ledger signed, and note each as a finding."""
        for kept in self.kept:
            if not self._vouches_for(kept.checkpoint):
                self.note(0, f"{kept.name}: was edited, or signed with another key")
        self.kept = [kept for kept in self.kept if self._vouches_for(kept.checkpoint)]

    @property
    def findings(self) -> list[str]:
        """Return what the ledger's audit found, in the order of the checkpoints."""
        return [text for _, text in sorted(self._found)]

    def note(self, number: int, text: str) -> None:
        """Note what the ledger's audit found about a checkpoint."""
        self._found.append((number, text))

    def follow(self, checkpoint: Checkpoint) -> bool:
        """Compare a ledger's checkpoint with its signature and predecessor; return whether it seals any receipts."""
        number, before, trusted_before = checkpoint.number, self.newest, self._trusted
        here = f"checkpoint {number} (receipts {checkpoint.first_receipt} to {checkpoint.last_receipt})"
        expected = following(before, 0, b"", "")
        self.newest, self._trusted = checkpoint, self._vouches_for(checkpoint)
        self.checkpoints += 1
        if number > expected.number:
            gone = _range_text("checkpoint", expected.number, number - 1)
            uncovered = _range_text("receipt", expected.first_receipt, checkpoint.first_receipt - 1)
            self.note(number, f"missing: {gone}; no checkpoint covers {uncovered}")
        elif number < expected.number:
            self.note(number, f"{here} was added")
        if not self._trusted:
            self.note(number, f"{here} was edited, or signed with another key")
        elif number == expected.number and trusted_before and not _continues(checkpoint, expected):
            self.note(number, f"{here} does not continue the previous checkpoint: the chain was rewritten")
        if self._trusted:
            self.sealed_reads.setdefault(checkpoint.staff_reads, (number, checkpoint.staff_read_digest))
        self._compare(checkpoint)
        return self._trusted

    def follow_read(self, place: int, digest: bytes, leaf: bytes, before: bytes) -> bytes:
        """Compare a recorded read by staff with its digest and its seal; return the digest that it should have."""
        expected = hashlib.sha256(before + leaf).digest()
        self.staff_reads += 1
        checkpoint, sealed = self.sealed_reads.pop(place, (0, expected))
        if place != self.staff_reads:
            self.note(
                checkpoint,
                f"staff read {place} was found instead of staff read {self.staff_reads}: a staff read was deleted or"
                " added",
            )
        elif not digest == expected == sealed:
            self.note(checkpoint, f"staff read {place} was edited, or an earlier staff read was edited")
        return expected

    def weigh(self, checkpoint: Checkpoint, leaves: bytes) -> None:
        """Compare the ledger's stored receipts with their checkpoint."""
        there, sealed = len(leaves) // HASH_BYTES, checkpoint.receipts
        self.receipts += there
        here = f"checkpoint {checkpoint.number} (receipts {checkpoint.first_receipt} to {checkpoint.last_receipt})"
        if there < sealed:
            self.note(checkpoint.number, f"{here}: {sealed - there} of the {sealed} receipts are missing")
        elif there > sealed:
            self.note(
                checkpoint.number, f"{here}: {there - sealed} receipts were added to the {sealed} sealed receipts"
            )
        elif merkle_root(leaves) != checkpoint.root:
            self.note(checkpoint.number, f"{here}: some of the {sealed} receipts were edited or swapped")

    def finish(self) -> None:
        """Find which receipts and checkpoints were kept elsewhere, or sealed, and are missing from the ledger."""
        for reads, (checkpoint, _) in self.sealed_reads.items():
            if reads:
                self.note(checkpoint, f"checkpoint {checkpoint}: some of the {reads} sealed staff reads are missing")
        last = f"checkpoint {self.newest.number}" if self.newest else "nothing sealed"
        for kept in self.kept:
            number = kept.checkpoint.number
            if number not in self._met:
                self.note(number, f"{kept.name}: checkpoint {number} is missing: the ledger ends with {last}")

    def _vouches_for(self, checkpoint: Checkpoint) -> bool:
        """Return whether one of the gateway's keys signed a checkpoint of the ledger."""
        return any(checkpoint.is_signed_by(key) for key in (self.key, *self.previous_keys))

    def _compare(self, checkpoint: Checkpoint) -> None:
        """Compare a checkpoint of the ledger with the copies of it that were kept elsewhere."""
        for kept in self.kept:
            if kept.checkpoint.number == checkpoint.number:
                self._met.add(checkpoint.number)
                if kept.checkpoint != checkpoint:
                    text = (
                        f"{kept.name}: checkpoint {checkpoint.number} differs from this copy: the ledger was rewritten"
                    )
                    self.note(checkpoint.number, text)


def _continues(checkpoint: Checkpoint, expected: Checkpoint) -> bool:
    """Return whether a checkpoint continues the ledger's chain as expected."""
    return (checkpoint.previous, checkpoint.first_receipt) == (expected.previous, expected.first_receipt)


def _range_text(what: str, first: int, last: int) -> str:
    """Write a range of the ledger's receipts or checkpoints for a finding."""
    return f"{what} {first}" if first >= last else f"{what}s {first} to {last}"


async def verify_chain(
    connections: Sequence[Connection], audit: Audit, tell: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Compute every root, link and signature of the ledger again, and note each difference from the checkpoints.

    The connections are the administrator's, each in a READ COMMITTED transaction; they share the work. `tell` is told
    how many receipts are done, and how many there are in all.
    """
    first = connections[0]
    for connection in connections:
        await connection.execute(BECOME_OWNER)
        await connection.execute(_AS_THE_OWNER)
    if await first.fetchval(_LEAF_FUNCTION) != _LEAF_FUNCTION_SHA256:
        audit.note(0, "grounds.receipt_leaf was replaced, so the receipts cannot be verified")
    total = await first.fetchval("SELECT coalesce(sum(receipts), 0)::bigint FROM grounds.checkpoint")

    def report_progress() -> None:
        """Report how many of the ledger's receipts were verified."""
        tell(audit.receipts, total)

    cursor = await first.cursor(f"SELECT {COLUMNS} FROM grounds.checkpoint ORDER BY number")
    while rows := await cursor.fetch(_CHECKPOINT_BATCH_SIZE):
        portions = _portions([made for row in rows if audit.follow(made := Checkpoint(*row))])
        await asyncio.gather(
            *(_verify_portions(connection, audit, portions, report_progress) for connection in connections)
        )
    last = audit.newest.last_receipt if audit.newest else 0
    audit.unsealed = await first.fetchval("SELECT count(*) FROM grounds.delivery WHERE id > $1", last)
    if early := await first.fetchval("SELECT count(*) FROM grounds.delivery WHERE id < 1"):
        audit.note(0, f"{early} receipts were added before the first checkpoint")
    await _verify_staff_reads(first, audit)
    audit.finish()


async def _verify_staff_reads(connection: Connection, audit: Audit) -> None:
    """Verify the digests of the reads by staff against the ledger's seals."""
    if await connection.fetchval(_STAFF_READ_LEAF_FUNCTION) != _STAFF_READ_LEAF_FUNCTION_SHA256:
        audit.note(0, "grounds.staff_read_leaf was replaced, so the staff reads cannot be verified")
    before = b""
    async for place, digest, leaf in connection.cursor(_STAFF_READS, prefetch=_RECEIPT_BATCH_SIZE):
        before = audit.follow_read(place, digest, leaf, before)
    audit.unsealed_reads = await connection.fetchval("SELECT count(*) FROM grounds.staff_read WHERE place IS NULL")


async def record_verification(connection: Connection, audit: Audit) -> None:
    """Store what a verification of the ledger found, where officers see it, as the administrator."""
    up_to = datetime.fromisoformat(f"{audit.newest.sealed_at}Z") if audit.newest else None
    async with connection.transaction():
        await connection.execute(BECOME_OWNER)
        await connection.execute(
            "INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings, up_to)"
            " VALUES ($1, $2, $3, $4, $5)",
            *(audit.checkpoints, audit.receipts, audit.unsealed, len(audit.findings), up_to),
        )


async def _verify_portions(
    connection: Connection, audit: Audit, portions: Iterator[list[Checkpoint]], report_progress: Callable[[], object]
) -> None:
    """Verify portions of the ledger until none is left; other connections take from them too."""
    for portion in portions:
        rows = await connection.fetch(
            _LEAVES, [each.first_receipt for each in portion], [each.last_receipt for each in portion]
        )
        for checkpoint, (leaves,) in zip(portion, rows, strict=True):
            audit.weigh(checkpoint, leaves or b"")
        report_progress()


def _portions(checkpoints: Sequence[Checkpoint]) -> Iterator[list[Checkpoint]]:
    """Gather the ledger's checkpoints until there are enough receipts for a round trip."""
    portion: list[Checkpoint] = []
    for checkpoint in checkpoints:
        portion.append(checkpoint)
        if sum(each.receipts for each in portion) >= _RECEIPT_BATCH_SIZE:
            yield portion
            portion = []
    if portion:
        yield portion


_CHECKPOINT_BATCH_SIZE: Final = 500
_RECEIPT_BATCH_SIZE: Final = 10_000
_AS_THE_OWNER: Final = (
    "SET LOCAL grounds.job = 'verify'; SET LOCAL search_path = pg_catalog;"
    " SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
)
_LEAVES: Final = """
SELECT (SELECT string_agg(grounds.receipt_leaf(d), ''::bytea ORDER BY d.id) FROM grounds.delivery d
        WHERE d.id BETWEEN r.first AND r.last)
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY r (first, last, place) ORDER BY r.place
"""
_LEAF_FUNCTION: Final = """
SELECT encode(sha256(convert_to(prosrc, 'UTF8')), 'hex') FROM pg_proc
WHERE oid = 'grounds.receipt_leaf'::regproc AND proconfig IS NULL
"""
# Of grounds.receipt_leaf in db/sql/ledger.sql, which hashes receipts: a replaced one could hide every other change.
_LEAF_FUNCTION_SHA256: Final = "1a24ffe3d1083f8302092e54c844255128f808b27f81d5d878a5a406aa1e6fe6"
_STAFF_READS: Final = """
SELECT r.place, r.digest, grounds.staff_read_leaf(r) FROM grounds.staff_read r
WHERE r.place IS NOT NULL ORDER BY r.place
"""
_STAFF_READ_LEAF_FUNCTION: Final = _LEAF_FUNCTION.replace("receipt_leaf", "staff_read_leaf")
_STAFF_READ_LEAF_FUNCTION_SHA256: Final = "ce908aec4b798d34ecc39f28bd30e5339e4db510ecc8e073b838beea3bfb970d"
