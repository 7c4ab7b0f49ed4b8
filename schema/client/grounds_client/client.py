"""A client that reads permitted items from a gateway, and keeps a folder of files up to date."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from grounds_client.pages import NDJSON, SyncedItems, sync_pages
from grounds_client.reader import BY_ID, GatewayReader
from grounds_client.sync import SyncedRelease, sync_release


class Client(GatewayReader):
    """A training client of a gateway. `token` is a token, or a function that returns one that is valid now.

    While the gateway is busy or cannot be reached, a request is repeated for `patience` seconds.
    """

    def sync(
        self, folder: str | Path, release: str, *, progress: Callable[[int, int], None] | None = None, **filter: Any
    ) -> SyncedRelease:
        """Bring a folder up to date with a release: get its files, remove retracted items, and acknowledge that.

        The release is started with the filter if this client has none with this name. The call can be interrupted and
        repeated at any time. Use one folder per client. `progress` is told how many files of how many are up to date.
        Raises GatewayError and SyncError.
        """
        return sync_release(self, Path(folder), release, filter, progress)

    def sync_items(
        self,
        folder: str | Path,
        *,
        format: str = NDJSON,
        progress: Callable[[int], None] | None = None,
        items_per_file: int = 50_000,
        order: str = BY_ID,
        **filter: Any,
    ) -> SyncedItems:
        """Bring a folder up to date with what is permitted now: read all pages, and remove retracted items.

        With the order `AVAILABILITY`, only what became available since the last sync is read.

        `format` is `ndjson`, or `parquet` with the extra `parquet`. The call can be interrupted and repeated at any
        time. Use one folder per client. `progress` is told how many items were read. Raises GatewayError and SyncError.
        """
        return sync_pages(self, Path(folder), filter, format, progress, items_per_file, order)
