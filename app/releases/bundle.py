"""The data for the documents of a release: rows of one transaction, and the total counts of its files."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from db.policy.document import Policy
from db.releases.releases import ReleaseRow, ShardRow
from schema.context import Context

Document = tuple[bytes, str]
"""The bytes of a document, and their media type."""
UNKNOWN = "unknown"
"""The value that a document shows for items without a value."""


@dataclass(frozen=True)
class Bundle:
    """A release with its shards that have items, as of the transaction that published it."""

    context: Context
    release: ReleaseRow
    shards: list[ShardRow]
    policy: Policy

    @property
    def client(self) -> str:
        """Return the name of the client that has the release."""
        return str(self.context.actor.client)

    @cached_property
    def counts(self) -> list[dict[str, Any]]:
        """Return what each file of the release has, as counted while it was written."""
        return [orjson.loads(shard.counts) for shard in self.shards]

    @property
    def characters(self) -> int:
        """Return how many characters the texts of the release have."""
        return sum(each["characters"] for each in self.counts)

    def by(self, name: str) -> dict[str, int]:
        """Return how many items of the release have each value of a column, those without one as UNKNOWN."""
        total: Counter[str] = Counter()
        for each in self.counts:
            total.update({value or UNKNOWN: items for value, items in each[name].items()})
        return dict(sorted(total.items()))

    @property
    def stated_filter(self) -> dict[str, Any]:
        """Return the filter of the release as its documents show it: a sample by its share, not by its key."""
        stated: dict[str, Any] = orjson.loads(self.release.filter)
        if "sample" in stated:
            stated["sample"] = {"share": stated["sample"]["share"]}
        return stated


def as_json(value: dict[str, Any]) -> Document:
    """Write a JSON document of a release."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z), "application/json"


def shard_path(number: int) -> str:
    """Return the path of a shard in its release."""
    return f"data/train-{number:05}.parquet"
