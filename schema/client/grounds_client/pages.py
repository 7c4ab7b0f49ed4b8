"""A folder with items that were read by pages: resumed if interrupted, and without what was retracted.

Retractions are applied to the files before they are acknowledged, and their cursor is kept last. In the order ID, each
sync reads all pages from the first, or from where the sync before was interrupted: an item can become permitted at any
place. In the order AVAILABILITY, a sync reads what became available since the sync before. Items that the folder has
are passed over.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from grounds_client.connection import GatewayError
from grounds_client.folder import (
    SyncError,
    check_filter,
    data_files,
    data_folder,
    load_state,
    locked_folder,
    replace_file,
    save_state,
    unreadable_state,
)
from grounds_client.reader import BY_AVAILABILITY, BY_ID, GatewayReader, Item, ReceivedRetraction, graphql_filter

NDJSON: Final = "ndjson"
PARQUET: Final = "parquet"
FORMATS: Final = (NDJSON, PARQUET)
ORDERS: Final = (BY_ID, BY_AVAILABILITY)
_ITEMS_PER_FILE: Final = 50_000
_GONE: Final = ("RETRACT", "SUPERSEDE", "HOLD")
_BACK: Final = "RELEASE"


@dataclass(slots=True)
class PagesState:
    """What a folder of pages remembers: the page at which the next sync begins, and the cursor of retractions."""

    format: str
    filter: dict[str, Any] | None
    next_page: str | None = None
    cursor: str | None = None
    files: int = 0
    order: str = BY_ID

    @classmethod
    def load(cls, folder: Path) -> "PagesState | None":
        """Read the state of a folder of the client; None for a new one. Raises SyncError."""
        state = load_state(folder)
        if state is not None and "release" in state:
            raise SyncError(f"{folder}: contains the release {state.get('name')} (choose another folder)")
        try:
            return None if state is None else cls(**state)
        except TypeError:
            raise unreadable_state(folder) from None


@dataclass(frozen=True, slots=True)
class SyncedItems:
    """What a folder contains after a sync by pages, and how many retractions were applied."""

    folder: Path
    items: int
    new_items: int
    files: list[Path]
    retractions: int


def sync_pages(
    client: GatewayReader,
    folder: Path,
    filter: dict[str, Any],
    format: str,
    progress: Callable[[int], None] | None = None,
    items_per_file: int = _ITEMS_PER_FILE,
    order: str = BY_ID,
) -> SyncedItems:
    """Bring a folder up to date with what the client may use; see `Client.sync_items`."""
    if format not in FORMATS:
        raise SyncError(f"format: {format} is not possible (pass {NDJSON} or {PARQUET})")
    if order not in ORDERS:
        raise SyncError(f"order: {order} is not possible (pass {BY_ID} or {BY_AVAILABILITY})")
    with locked_folder(folder):
        state = PagesState.load(folder)
        if state is None:
            state = PagesState(format, graphql_filter(filter), order=order)
            save_state(folder, asdict(state))
        if state.format != format:
            raise SyncError(
                f"{folder}: already contains {state.format} files (request this format, or choose another folder)"
            )
        if state.order != order:
            raise SyncError(
                f"{folder}: is read in the order {state.order} (request this order, or choose another folder)"
            )
        check_filter(folder, state.filter, graphql_filter(filter))
        _delete_unnamed(folder, state)
        retractions = _apply_retractions(client, folder, state)
        held = {id for path in data_files(folder) for id in _read_ids(path)}
        before = len(held)
        try:
            _read_pages(client, folder, state, held, progress, items_per_file)
        except GatewayError as error:
            if error.code != "CURSOR_LOST" or state.next_page is None:
                raise
            state.next_page = None  # the gateway was restored: all pages are read again
            _read_pages(client, folder, state, held, progress, items_per_file)
        return SyncedItems(folder, len(held), len(held) - before, [*data_files(folder)], retractions)


def _apply_retractions(client: GatewayReader, folder: Path, state: PagesState) -> int:
    """Remove what was retracted from every file of a folder of the client, and acknowledge that; return how many."""
    pending: list[ReceivedRetraction] = []
    after = state.cursor
    try:
        for page, after in client.retractions(state.cursor):  # noqa: B007 - the last one is kept
            pending += page
    except GatewayError as error:
        if error.code != "CURSOR_LOST" or state.cursor is None:
            raise
        for path in [*data_files(folder)]:  # the gateway was restored: nothing of what it said before is kept
            path.unlink()
        state.cursor = state.next_page = None
        save_state(folder, asdict(state))
        return _apply_retractions(client, folder, state)
    if pending:
        gone = {each.content_id for each in pending if each.kind in _GONE}
        for path in [*data_files(folder)]:
            _remove_items(path, gone)
        client.acknowledge(pending[-1])
        if any(each.kind == _BACK for each in pending):
            state.next_page = None  # the items of a hold that ended keep their places: all pages are read again
        state.cursor = after
        save_state(folder, asdict(state))
    return len(pending)


def _read_pages(
    client: GatewayReader,
    folder: Path,
    state: PagesState,
    held: set[str],
    progress: Callable[[int], None] | None,
    items_per_file: int,
) -> None:
    """Read the pages of a client's items into files, from the next page on; the state names only whole files."""
    waiting: list[Item] = []
    read = 0
    after = state.next_page
    for items, end in client.pages_of_items(state.filter, after, order=state.order):
        after = end
        read += len(items)
        waiting += [item for item in items if item.id not in held]
        held.update(item.id for item in items)
        if len(waiting) >= items_per_file:
            _write_file(folder, state, waiting, after)
            waiting = []
        if progress is not None:
            progress(read)
    _write_file(folder, state, waiting, after if state.order == BY_AVAILABILITY else None)


def _write_file(folder: Path, state: PagesState, items: Sequence[Item], next_page: str | None) -> None:
    """Write a file of items of the client, and then the state that names it and the page after it."""
    if items:
        path = data_folder(folder) / f"items-{state.files:05}.{state.format}"
        path.parent.mkdir(exist_ok=True)
        replace_file(path, _as_bytes([_row(item) for item in items], state.format))
        state.files += 1
    state.next_page = next_page
    save_state(folder, asdict(state))


def _row(item: Item) -> dict[str, Any]:
    """Return an item of the client as a row of a file, with the month as a text."""
    return {field.name: getattr(item, field.name) for field in fields(item)} | {
        "created_month": item.created_month.isoformat()
    }


def _as_bytes(rows: Sequence[dict[str, Any]], format: str) -> bytes:
    """Write rows of the client's items in the format of a folder."""
    if format == NDJSON:
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    import pyarrow as pa
    import pyarrow.parquet

    sink = pa.BufferOutputStream()
    schema = pa.schema([(field.name, pa.string()) for field in fields(Item)])
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file of the client's items."""
    try:
        if path.suffix == f".{NDJSON}":
            return [json.loads(line) for line in path.read_bytes().splitlines()]
        import pyarrow.parquet

        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except ValueError:  # of JSON, and of Parquet
        raise SyncError(f"{path}: cannot be read (delete the folder, and repeat the sync)") from None
    return rows


def _read_ids(path: Path) -> Iterator[str]:
    """Read the ids of a file of the client's items."""
    return (str(row["id"]) for row in _read_rows(path))


def _remove_items(path: Path, gone: set[str]) -> None:
    """Rewrite a file of the client's items without some items, if it has any of them."""
    rows = _read_rows(path)
    kept = [row for row in rows if row["id"] not in gone]
    if not kept:
        path.unlink()
    elif len(kept) < len(rows):
        replace_file(path, _as_bytes(kept, path.suffix.removeprefix(".")))


def _delete_unnamed(folder: Path, state: PagesState) -> None:
    """Delete what an interrupted sync of the client left: files that the state does not name."""
    named = {f"items-{number:05}.{state.format}" for number in range(state.files)}
    for path in [*data_files(folder)]:
        if path.name not in named:
            path.unlink()
