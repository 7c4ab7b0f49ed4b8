"""TDMRep (W3C Community Group): text and data mining is reserved by a file, a header or a tag of a page."""

import json
import re
from html import unescape
from typing import Any

from db.signals.robots import path_matches
from db.signals.statement import NOTHING, Found, Precedence, Reading, Statement, combine_statements, reserved, strictest
from db.vocabulary import RightsSource, TrainAI

_VALUES: dict[str, TrainAI] = {"1": "n", "0": "y"}
_META = re.compile(r"<meta\s([^<>]*)", re.IGNORECASE)  # up to the next bracket: linear, however many are left open
_ATTRIBUTE = re.compile(r"""([^\s"'=/]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=]+))""")


def read_tdm_header(found: Found) -> Reading:
    """Read the signal of a header `tdm-reservation`."""
    values = found.value if isinstance(found.value, list) else [found.value]
    if not all(value is None or isinstance(value, str | int) for value in values):
        return combine_statements(reserved(RightsSource.TDMREP, "tdm-reservation must be 0 or 1"))
    return _settled([value for value in values if value is not None], Precedence.HEADER)


def read_tdm_file(found: Found) -> Reading:
    """Read the signal of `/.well-known/tdmrep.json`: the first rule that the item's path matches counts.

    Where the path is not known, every rule does.
    """
    rules = _parsed_file(found.value)
    if rules is None:
        return combine_statements(
            reserved(RightsSource.TDMREP, "tdmrep.json must be a list of rules, and each rule must have a location")
        )
    matching = [
        rule.get("tdm-reservation")
        for rule in rules
        if found.path is None or path_matches(rule["location"], found.path)
    ]
    if found.path is not None:
        matching = matching[:1]
    return _settled([value for value in matching if value is not None], Precedence.FILE)


def read_html(found: Found) -> Reading:
    """Read the signals in a page's `<meta name="tdm-reservation">` and `<meta name="robots">`."""
    if not isinstance(found.value, str):
        return combine_statements(reserved(RightsSource.TDMREP, "the page is not a string"))
    tags = _meta_tags(found.value)
    tdm = _settled([content for name, content in tags if name == "tdm-reservation"], Precedence.EMBEDDED)
    directives = {word.strip().lower() for name, content in tags if name == "robots" for word in content.split(",")}
    reserving = {"noai", "noimageai"} if found.has_media else {"noai"}
    convention = [Statement(RightsSource.PLATFORM, "n")] if directives & reserving else []
    return Reading((*tdm.statements, *convention), fault=tdm.fault)


def _settled(values: list[object], precedence: Precedence) -> Reading:
    """Combine the TDMRep values of one place. Any but 0 and 1 is an error, and means that nothing was set."""
    stated = [None if isinstance(value, bool) else _VALUES.get(str(value).strip()) for value in values]
    fault = "tdm-reservation must be 0 or 1" if None in stated else None
    known = [value for value in stated if value is not None]
    if not known:
        return NOTHING if fault is None else Reading(fault=fault)
    return combine_statements(Statement(RightsSource.TDMREP, strictest(known), fault, precedence))


def _parsed_file(value: object) -> list[dict[str, Any]] | None:
    """Parse the rules of a tdmrep.json; None if it is malformed."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    well_made = all(isinstance(rule, dict) and isinstance(rule.get("location"), str) for rule in value)
    return value if well_made else None


def _meta_tags(page: str) -> list[tuple[str, str]]:
    """Yield the name in lower case and the content of each `meta` tag that can hold a signal."""
    first, *commented = page.split("<!--")
    shown = " ".join([first, *(part.partition("-->")[2] for part in commented)])
    tags = []
    for tag in _META.finditer(shown):
        attributes = {
            found[1].lower(): unescape(next((value for value in found.groups()[1:] if value is not None), ""))
            for found in _ATTRIBUTE.finditer(tag[1])
        }
        if "name" in attributes and "content" in attributes:
            tags.append((attributes["name"].strip().lower(), attributes["content"]))
    return tags
