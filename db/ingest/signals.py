"""The effect of a record's signals: whether they forbid training, what is stored, and the objections they cause."""

import json
from typing import NamedTuple

from db.ingest.records import AccountRecord, ContentRecord
from db.signals.reader import read_signal
from db.signals.statement import UNDATED, Found, Reading, settle_signals
from db.vocabulary import MEDIUM_KINDS, PRIVATE_KINDS, RightsSource


class SignalsRead(NamedTuple):
    """The effect of the rights and signals of a record. The first four fields are columns.

    `signals` is what evidence names, as JSON: each statement, where and when it was seen, and whether it reserves;
    never a value. `objections` are the statements about the whole account, `unreadable` says what could not be read.
    `minors` is what they say to the scanner of that name, if anything, and `stated` is what a digest covers.
    """

    reserved: bool
    signals: str | None
    objections: str | None
    unreadable: list[str]
    minors: str | None
    stated: list[tuple[str, ...]]


SIGNAL_COLUMNS = {"reserved": "boolean", "signals": "jsonb", "objections": "jsonb", "unreadable": "text[]"}
NO_SIGNALS = SignalsRead(False, None, None, [], None, [])
"""The result for a record without rights and signals."""


def signals_of_account(record: AccountRecord) -> SignalsRead:
    """Read the signals in an account's record of ingest, which count for every item of it."""
    return _read_signals(record, [], has_media=True)


def signals_of_content(record: ContentRecord) -> SignalsRead:
    """Read the rights and signals in an item's record of ingest. Of a private message only the result is kept."""
    reserving: list[dict[str, object]] = [
        {"source": right.source, "train_ai": "n", "reserves": True} for right in record.rights if right.train_ai == "n"
    ]
    read = _read_signals(record, reserving, has_media=bool(record.media) or record.kind in MEDIUM_KINDS)
    if record.kind not in PRIVATE_KINDS:
        return read
    return NO_SIGNALS._replace(
        reserved=read.reserved, minors=read.minors, objections=read.objections, stated=read.stated
    )


def _read_signals(
    record: AccountRecord | ContentRecord, rights: list[dict[str, object]], *, has_media: bool
) -> SignalsRead:
    """Read and settle the signals in a record of ingest, with the objections that they are."""
    readings = [read_signal(Found(each.standard, each.value, each.path, has_media)) for each in record.signals]
    settled = settle_signals(readings)
    reserving = {source for source, train_ai in settled.items() if train_ai == "n"}
    kept = [*rights]
    objections = []
    unreadable = []
    for position, (signal, reading) in enumerate(zip(record.signals, readings, strict=True)):
        seen_at = signal.seen_at or record.observed_at
        seen: dict[str, object] = {"standard": signal.standard, "location": signal.location, "path": signal.path}
        seen |= {"seen_at": seen_at.isoformat(), "fault": reading.fault}
        kept += [
            seen | {"source": source, "train_ai": train_ai, "reserves": source in reserving and train_ai == "n"}
            for source, train_ai, _, _ in reading.statements
        ] or [seen]
        if reading.objected_at is not None:
            dated = reading.objected_at != UNDATED
            since = reading.objected_at if dated else seen_at
            objections.append({"standard": signal.standard, "at": since.isoformat(), "dated": dated})
        if reading.fault is not None:
            unreadable.append(f"signals.{position}: {reading.fault}; {_consequence(reading, reserving)}")
    return SignalsRead(
        bool(reserving or rights),
        json.dumps(kept, ensure_ascii=False) if kept else None,
        json.dumps(objections) if objections else None,
        unreadable,
        next((reading.minors for reading in readings if reading.minors), None),
        _as_compared(record),
    )


def _consequence(reading: Reading, reserving: set[RightsSource]) -> str:
    """Describe what a signal in a record of ingest counts as, though a part of it could not be read."""
    counts_as = {each.train_ai for each in reading.statements}
    if reading.objected_at is not None:
        said = "counts as an objection of the whole account"
    elif reserving.intersection(each.source for each in reading.statements if each.train_ai == "n"):
        said = "counts as an opt-out from training"
    elif "n" in counts_as:
        said = "does not count, because another signal of its standard has precedence"
    elif "y" in counts_as:
        said = "allows training, by its other parts"
    else:
        said = "says nothing about training, because its standard ignores such a value"
    return f"the line was stored, but the signal {said} (correct the signal)"


def _as_compared(record: AccountRecord | ContentRecord) -> list[tuple[str, ...]]:
    """Return the signals in a record of ingest as they are compared with those of an earlier record."""
    return sorted(
        (each.standard, json.dumps(each.value, sort_keys=True), each.location or "", each.path or "", str(each.seen_at))
        for each in record.signals
    )
