"""What somebody who can write to the database might do to the ledger: a thousand cases, the same each time."""

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import astuple, dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db.connection import Connection
from db.delivery.ledger import COLUMNS, Checkpoint, following, signing_key
from tests.support.gateway import SECRET

KEY = signing_key(SECRET)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

# How a value is changed, by its column or the column's type; $ stands for a random number from 1 to 1000.
CHANGES = {
    "bigint": ["{0} + $", "-{0}", "{0} # 1"],
    "integer": ["{0} + $", "-{0}", "{0} # 1"],
    "incarnation": ["{0} + $", "{0} # 1"],  # 0 in a database that was never restored
    "text": ["{0} || ' '", "overlay({0} placing '#' from 1)", "reverse({0})", "''", "{0} || $"],
    "timestamp with time zone": ["{0} + $ * interval '1 us'", "{0} - interval '1 day'", "'infinity'"],
    "bigint[]": [
        "{0} || $::bigint",
        "{0}[2:]",
        "array_prepend({0}[2], array_prepend({0}[1], {0}[3:]))",
        "array_replace({0}, {0}[1], {0}[1] + $)",
        "'{{}}'",
        "ARRAY[{0}]",
        "('[0:' || cardinality({0}) - 1 || ']=' || {0}::text)::bigint[]",
    ],
    "item_bits": ["set_bit({0}, $ % 8, 1 - get_bit({0}, $ % 8))", "''", "{0} || '\\x00'", "sha256({0})"],
    "staff_reads": ["{0} + $", "{0} # 1"],
    "staff_read_digest": ["{0} || '\\x00'", "sha256({0})"],
    "bytea": ["set_bit({0}, $ % 256, 1 - get_bit({0}, $ % 256))", "''", "{0} || '\\x00'", "sha256({0})"],
}


@dataclass(frozen=True, slots=True)
class Tampering:
    """A change to the ledger; `column` is that of an edited receipt."""

    name: str
    work: Callable[[Connection], Awaitable[object]]
    needs_kept: bool = False
    column: str | None = None


async def newest(connection: Connection) -> Checkpoint:
    """Read the newest checkpoint, as one who wants to keep it elsewhere."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM grounds.checkpoint ORDER BY number DESC LIMIT 1")
    assert row is not None
    return Checkpoint(*row)


async def rewritten(connection: Connection, key: Ed25519PrivateKey) -> None:
    """Seal every receipt anew, as one who holds a key."""
    row = await connection.fetchrow(
        "SELECT max(d.id), string_agg(grounds.receipt_leaf(d), ''::bytea ORDER BY d.id) FROM grounds.delivery d"
    )
    assert row is not None
    made = following(None, row[0], row[1], "2026-06-02T00:00:00").signed(key)
    *said, sealed_at, signature = astuple(made)
    await connection.execute("DELETE FROM grounds.checkpoint")
    await connection.execute(
        "INSERT INTO grounds.checkpoint VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *said,
        datetime.fromisoformat(f"{sealed_at}Z"),
        signature,
    )


async def tamperings(connection: Connection) -> list[Tampering]:
    """Make up a thousand and some, for the ledger that is there."""
    chance = random.Random(1000)
    receipts = [id for (id,) in await connection.fetch("SELECT id FROM grounds.delivery ORDER BY id")]
    numbers = [number for (number,) in await connection.fetch("SELECT number FROM grounds.checkpoint ORDER BY number")]
    by_form = {
        form: [id for (id,) in await connection.fetch(f"SELECT id FROM grounds.delivery WHERE {form} IS NOT NULL")]
        for form in ("items", "item_bits", "file_sha256")
    }
    columns = {table: await _columns(connection, table) for table in ("delivery", "checkpoint")}
    return [
        *_edits(chance, "delivery", "id", columns["delivery"], receipts, 380, by_form),
        *_edits(chance, "checkpoint", "number", columns["checkpoint"], numbers, 160, {}),
        *_of_rows(chance, receipts, list(columns["delivery"]), 360),
        *_of_the_chain(chance, by_form["items"], numbers, 120),
    ]


async def _columns(connection: Connection, table: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = ('grounds.' || $1)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return {row[0]: row[1] for row in rows}


def _edits(
    chance: random.Random,
    table: str,
    key: str,
    columns: dict[str, str],
    keys: list[int],
    count: int,
    keys_with: dict[str, list[int]],
) -> Iterator[Tampering]:
    """Edit each column in each way, here and there: one that not every row has, where there is something."""
    free = [str(number) for number in range(-3, keys[-1] + 9) if number not in keys]
    for turn in range(count):
        column = list(columns)[turn % len(columns)]
        changes = CHANGES.get(column, CHANGES[columns[column]]) if column != key else chance.sample(free, 1)
        change = changes[turn // len(columns) % len(changes)].format(column).replace("$", str(chance.randint(1, 1000)))
        where = f"{key} = {chance.choice(keys_with.get(column, keys))}"
        statement = (
            f"UPDATE grounds.{table} SET {column} = {change} WHERE {where} AND {column} IS DISTINCT FROM {change}"
        )
        yield Tampering(statement, _running(statement), column=column if table == "delivery" else None)


def _of_rows(chance: random.Random, receipts: list[int], columns: list[str], count: int) -> Iterator[Tampering]:
    """Delete, insert and swap receipts."""
    content = ", ".join(columns[1:])
    free = sorted({*range(-3, receipts[-1])} - {*receipts})
    for turn in range(count):
        some = chance.sample(receipts, chance.randint(2, 6))
        listed = ", ".join(map(str, some))
        statement = (
            f"DELETE FROM grounds.delivery WHERE id = {chance.choice((some[0], receipts[-1]))}",
            f"DELETE FROM grounds.delivery WHERE id IN ({listed})",
            f"INSERT INTO grounds.delivery OVERRIDING SYSTEM VALUE SELECT {chance.choice(free)}, {content}"
            f" FROM grounds.delivery WHERE id = {some[0]}",
            f"UPDATE grounds.delivery d SET ({content}) = (SELECT {content} FROM grounds.delivery o"
            f" WHERE o.id = {some[0]} + {some[1]} - d.id) WHERE id IN ({some[0]}, {some[1]})",
            f"UPDATE grounds.delivery SET id = {chance.choice(free)} WHERE id = {some[0]}",
            f"DELETE FROM grounds.delivery WHERE id >= {some[0]}",
        )[turn % 6]
        yield Tampering(statement, _running(statement))


def _of_the_chain(chance: random.Random, receipts: list[int], numbers: list[int], count: int) -> Iterator[Tampering]:
    """Cut the chain off, rewrite it, take checkpoints out, exchange and forge them."""
    for turn in range(count):
        number, other = chance.sample(numbers[:-1], 2)
        tail = f"number >= {chance.choice(numbers)}"
        edit = f"UPDATE grounds.delivery SET items = items || {turn}::bigint WHERE id = {chance.choice(receipts)}"
        exchanged = (
            "first_receipt, last_receipt, receipts, staff_reads, staff_read_digest, incarnation, public_key, root,"
            " previous, sealed_at, signature"
        )
        kind = turn % 6
        if kind == 0:
            first = f"(SELECT min(first_receipt) FROM grounds.checkpoint WHERE {tail})"
            cut = f"DELETE FROM grounds.delivery WHERE id >= {first}", f"DELETE FROM grounds.checkpoint WHERE {tail}"
            yield Tampering(f"cut off: {tail}", _running(*cut), needs_kept=True)
        elif kind == 1:
            yield Tampering(f"rewritten with another key: {edit}", _rewriting(edit, STRANGER))
        elif kind == 2:
            yield Tampering(f"rewritten with the key: {edit}", _rewriting(edit, KEY), needs_kept=True)
        else:
            statement = {
                3: f"DELETE FROM grounds.checkpoint WHERE number = {number}",
                4: f"UPDATE grounds.checkpoint c SET ({exchanged}) = (SELECT {exchanged} FROM grounds.checkpoint o"
                f" WHERE o.number = {number} + {other} - c.number) WHERE number IN ({number}, {other})",
                5: f"INSERT INTO grounds.checkpoint SELECT {chance.choice((0, -1, numbers[-1] + 1, numbers[-1] + 9))},"
                f" {exchanged} FROM grounds.checkpoint WHERE number = {number}",
            }[kind]
            yield Tampering(statement, _running(statement))


def _rewriting(edit: str, key: Ed25519PrivateKey) -> Callable[[Connection], Awaitable[object]]:
    async def work(connection: Connection) -> None:
        await _running(edit)(connection)
        await rewritten(connection, key)

    return work


def _running(*statements: str) -> Callable[[Connection], Awaitable[object]]:
    async def work(connection: Connection) -> None:
        await connection.execute(
            "ALTER TABLE grounds.delivery ALTER id SET GENERATED BY DEFAULT;"
            " SET LOCAL session_replication_role = 'replica'"
        )
        for statement in statements:
            done = await connection.execute(statement)
            assert not done.endswith(" 0"), f"it changes nothing: {statement}"

    return work
