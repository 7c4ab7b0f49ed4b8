"""What the rights and signals of an item or account say."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.promises.oracle.records import MEDIA_KINDS, Record
from tests.promises.oracle.standards import read_signal

Signals = frozenset[tuple[Any, ...]]  # standard, value, location, path and when seen


@dataclass(frozen=True)
class Finding:
    """What all signals of a record say together."""

    reserves: bool
    shows_minor: bool
    objections: frozenset[str]  # the standards by which the whole account objects


def is_reserved(record: Record) -> bool:
    """Return whether a right or a signal of an item, or a signal of an account, says that it may not be trained on."""
    return any(train_ai == "n" for _, train_ai in record.get("rights", ())) or finding_of(record).reserves


def is_seen(item: Record) -> bool:
    """Return whether a scanner has something to look at, or to listen to."""
    return item["kind"] in MEDIA_KINDS or bool(item.get("media"))


def scanned_for_minors(item: Record) -> str | None:
    """Return what the scanner `minors` found, or what a signal of the item says in its place."""
    found: str | None = item["scans"].get("minors")
    return "FLAGGED" if finding_of(item).shows_minor else found


def finding_of(record: Record) -> Finding:
    """Read the signals of a record."""
    return _finding(record.get("signals") or frozenset(), is_seen(record))


@lru_cache(maxsize=1 << 14)
def _finding(signals: Signals, has_media: bool) -> Finding:
    """Settle each standard by its own rules; across them any reservation counts."""
    said = [
        (standard, each)
        for standard, written, _, path, _ in signals
        for each in read_signal(standard, written, path, has_media)
    ]
    tdm = [each for _, each in said if each.source == "TDMREP"]
    place = max((each.place for each in tdm), default=None)
    return Finding(
        reserves=any(each.train_ai == "n" and (each.source != "TDMREP" or each.place == place) for _, each in said),
        shows_minor=any(each.shows_minor for _, each in said),
        objections=frozenset(standard for standard, each in said if each.objects),
    )
