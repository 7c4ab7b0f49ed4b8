"""Open the files of a synced folder with polars, pandas or Hugging Face `datasets`. Install the one that you use."""

from pathlib import Path
from typing import Any

from grounds_client.folder import SyncError, data_files


def to_polars(folder: str | Path) -> Any:
    """Read the items of a folder as a `polars.DataFrame`. Raises SyncError for a folder without items."""
    import polars

    files, is_parquet = _files_of(folder)
    return polars.concat([polars.read_parquet(file) if is_parquet else polars.read_ndjson(file) for file in files])


def to_pandas(folder: str | Path) -> Any:
    """Read the items of a folder as a `pandas.DataFrame`. Raises SyncError for a folder without items."""
    import pandas

    files, is_parquet = _files_of(folder)
    frames = [
        pandas.read_parquet(file) if is_parquet else pandas.read_json(file, lines=True, dtype=False) for file in files
    ]
    return pandas.concat(frames, ignore_index=True)


def to_datasets(folder: str | Path) -> Any:
    """Open the items of a folder as a `datasets.Dataset`. Raises SyncError for a folder without items.

    The library keeps a copy in its cache, which a later sync does not change: open the folder again after each sync,
    and delete the cache (`cleanup_cache_files`).
    """
    import datasets

    files, is_parquet = _files_of(folder)
    return datasets.load_dataset("parquet" if is_parquet else "json", data_files=files, split="train")


def _files_of(folder: str | Path) -> tuple[list[str], bool]:
    """List the files with items of a client's folder, and return whether they are Parquet files. Raises SyncError."""
    files = [path for path in data_files(Path(folder)) if path.suffix in (".parquet", ".ndjson")]
    if not files:
        raise SyncError(f"{folder}: has no items (run the sync first)")
    return [str(path) for path in files], files[0].suffix == ".parquet"
