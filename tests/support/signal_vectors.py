"""The vectors of signals, and the signals of which each is made."""

import json
from pathlib import Path
from typing import Any

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "db" / "signals" / "rights_signals.json").read_text(encoding="utf-8")
)["vectors"]

_USAGE = "http-header Content-Usage"
_TDM = {"file": "/.well-known/tdmrep.json", "header": "http-header tdm-reservation", "html meta": "text/html"}


def signals_of(vector: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the signals of a vector as a platform states them: standard, value and path."""
    context = vector.get("context") or {}
    path = context.get("collection", context.get("path"))
    return [{"standard": standard, "value": value, "path": path} for standard, value in parsed_signals(vector)]


def parsed_signals(vector: dict[str, Any]) -> list[tuple[str, Any]]:
    form, value = vector["format"], vector["input"]
    if form.startswith("two statements"):
        return [(_USAGE, each) for each in value]
    if form == "AIPREF y, TDMRep 1":
        return [(_USAGE, value[0]), (_TDM["header"], value[1])]
    if form == "IPTC ALLOWED, CAWG constrained":
        entries = {"cawg.ai_generative_training": {"use": value[1]}}
        assertion = {"label": "cawg.training-mining", "data": {"entries": entries}}
        return [("XMP plus:DataMining", value[0]), ("C2PA assertion", assertion)]
    if form == "record deleted after bsky-01":
        return [("org.user-intents.declaration", value)]
    if form.startswith(("file, then", "header, then")):
        places = [place.removesuffix(" without the field") for place in form.split(", then ")]
        return [(_TDM[place], _stated_at(place, each)) for place, each in zip(places, value, strict=True)]
    return [(form, value)]


def _stated_at(place: str, value: int | None) -> object:
    if place == "file":
        return [{"location": "/", "tdm-reservation": value}]
    if place == "html meta":
        return f'<meta name="tdm-reservation" content="{value}">'
    return None if value is None else str(value)
