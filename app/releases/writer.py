"""The background job that writes the shards of releases, and removes files that none needs."""

import asyncio
from pathlib import Path

from app.releases.files import NewFile, locked_leftovers, new_file
from db.connection import Connection
from db.incarnations import load_incarnations
from db.releases.shards import (
    AnnouncedShard,
    ReadPart,
    ShardFile,
    ShardNotReadable,
    announce_shard,
    fail_release,
    read_shard,
    release_files,
    retire_shards,
    store_shard,
    training_connection,
)
from db.secrets import unwrap_secrets
from schema.relay.ids import ids_of


class ReleaseStorageError(Exception):
    """A shard that could not be stored, for lack of space or of a folder: it is tried again."""


class ReleaseWriter:
    """The writer of releases: one shard at a time, each announced before it is read."""

    def __init__(self, url: str, secret: bytes, folder: Path) -> None:
        self._url, self._secret, self._folder = url, secret, folder

    async def write_next(self, worker: Connection) -> int:
        """Write the next shard of any release as a background job; return 0 where there is none.

        Raises ReleaseStorageError where the file cannot be stored.
        """
        shard = await announce_shard(worker)
        if shard is None:
            return 0
        try:
            with new_file(self._folder, f"{shard.release}-{shard.number:05}") as file:
                await self._write(worker, shard, file)
        except ShardNotReadable:
            return 0
        except ConnectionError:
            raise  # of the database
        except OSError as error:
            await fail_release(worker, shard.release, error.strerror or "the file could not be stored")
            raise ReleaseStorageError(f"a shard cannot be stored in the folder of releases: {error.strerror}") from None
        return 1

    async def remove_files(self, worker: Connection) -> int:
        """Remove files of releases that no shard needs, as a background job."""
        await retire_shards(worker)
        with locked_leftovers(self._folder, await release_files(worker)) as leftovers:
            named = await release_files(worker) if leftovers else set()  # a row can have been committed meanwhile
            for path in leftovers:
                if path.name not in named:
                    path.unlink(missing_ok=True)
        return 0

    async def _write(self, worker: Connection, shard: AnnouncedShard, file: NewFile) -> None:
        """Read a shard into its file, and record it."""
        from app.releases.parquet import ShardWriter

        first: ReadPart | None = None
        first_secret = unwrap_secrets(self._secret, await worker.fetchval("SELECT grounds.previous_secrets()")).first
        naming = ids_of(first_secret, f"client:{shard.client_name}", await load_incarnations(worker))
        with ShardWriter(file.stream, naming) as writer:
            async with training_connection(self._url, self._secret) as training:
                async for part in read_shard(training, shard):
                    first = first or part
                    if part.policy != first.policy:
                        raise ShardNotReadable
                    await asyncio.to_thread(writer.add, part.csv)
            await asyncio.to_thread(writer.close)
        assert first is not None, "a shard has a range"
        await asyncio.to_thread(file.finish)
        made = ShardFile(file.name, file.sha256, file.byte_count, writer.counts.as_dict())
        file.kept = True  # if this is interrupted, the row says whether it is wanted, and another job removes it
        file.kept = await store_shard(worker, shard, made, writer.items, first)
