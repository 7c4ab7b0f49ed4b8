"""A client that reads permitted items from a gateway, and keeps a folder of files up to date."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from grounds_client.reader import GatewayReader
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
