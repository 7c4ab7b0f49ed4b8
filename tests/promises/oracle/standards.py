"""Read one signal by the rules of its standard.

What cannot be read reserves, but for AIPREF, which says nothing then.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

FILE, HEADER, EMBEDDED = range(3)  # of TDMRep: the later one supersedes


@dataclass(frozen=True)
class Said:
    """What one signal says: by which source, and whether that allows training."""

    source: str
    train_ai: str | None = None  # "y", "n", "unknown"; None where nothing is said
    place: int = FILE  # counts for TDMRep only
    shows_minor: bool = False
    objects: bool = False  # a statement about the whole account


@dataclass(frozen=True)
class Signal:
    """A signal as it was found: its value, the path or collection of its item, and whether the item has media."""

    value: Any
    path: str | None
    has_media: bool


Reader = Callable[[Signal], Iterator[Said]]

# AIPREF, RFC 9651 --------------------------------------------------------------------------------------------------

_bare = (
    r'-?\d{1,15}(?:\.\d{1,3})?|"(?:[ !#-\[\]-~]|\\["\\])*"|:[A-Za-z0-9+/=]*:|\?[01]|@-?\d{1,15}'
    r"|%\"[ !#-$&-~]*\"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
)
_key = r"[a-z*][a-z0-9_.*-]*"
_parameters = rf"(?:; *{_key}(?:=(?:{_bare}))?)*"
_inner_list = rf"\( *(?:(?:{_bare}){_parameters}(?: +(?:{_bare}){_parameters})*)? *\)"
_member = re.compile(rf"({_key})(?:=({_bare}|{_inner_list}))?{_parameters}")
_comma = re.compile(r"[ \t]*,[ \t]*")
_LABEL = "train-ai"
_EARLIER_LABELS = ("train-genai", "genai", "ai", "tdm", "bots", "all")


def _dictionary(field: str) -> dict[str, str | None] | None:
    """Return the members of a structured field, the last of each key; None if it is none."""
    text, position, members = field.strip(" "), 0, {}
    while text:
        member = _member.match(text, position)
        if not member:
            return None
        members[member[1]] = member[2]
        if member.end() == len(text):
            break
        comma = _comma.match(text, member.end())
        if not comma:
            return None
        position = comma.end()
    return members


def _usage(field: str) -> Iterator[Said]:
    members = _dictionary(field)
    if members is None:
        yield Said("AIPREF", "unknown")
    elif members:
        said = members.get(_LABEL)
        denied = any(members.get(label) == "n" for label in _EARLIER_LABELS)
        yield Said("AIPREF", "n" if denied else said if said in ("y", "n") else "unknown")


def _content_usage(signal: Signal) -> Iterator[Said]:
    for field in signal.value if isinstance(signal.value, list) else [signal.value]:
        yield from _usage(field) if isinstance(field, str) else [Said("AIPREF", "unknown")]


# robots.txt --------------------------------------------------------------------------------------------------------

_AGENT = "grounds"
Rule = tuple[str, str, str]  # name, path and value


def _robots(signal: Signal) -> Iterator[Said]:
    if not isinstance(signal.value, str):
        yield Said("CONTENT_SIGNALS", "n")
        return
    path = signal.path or "/"
    rules = [rule for rule in _rules_for(_AGENT, signal.value) if path_matches(rule[1], path)]
    crawling = [(len(rule[1]), rule[0] == "allow") for rule in rules if rule[0] in ("allow", "disallow") and rule[1]]
    if crawling and not max(crawling)[1]:
        return
    for name, read in (("content-usage", _usage), ("content-signal", _content_signal)):
        named = [rule for rule in rules if rule[0] == name]
        longest = max((len(rule[1]) for rule in named), default=0)
        for _, pattern, value in named:
            if len(pattern) == longest:
                yield from read(value)


def _rules_for(agent: str, text: str) -> list[Rule]:
    """Return the rules of the groups of an agent, or else of those for all."""
    groups: dict[str, list[Rule]] = {}
    agents: list[str] = []
    is_open = False
    for line in text.splitlines():
        label, colon, value = line.partition("#")[0].partition(":")
        name, value = label.strip().lower(), value.strip()
        if name == "user-agent":
            agents = [*agents, value.lower()] if is_open else [value.lower()]
            is_open = True
            for each in agents:
                groups.setdefault(each, [])
        elif colon:
            is_open = False
            rule = (name, value, "") if name in ("allow", "disallow") else (name, *_with_path(value))
            for each in agents:
                groups[each].append(rule)
    return groups.get(agent, groups.get("*", []))


def _with_path(value: str) -> tuple[str, str]:
    if not value.startswith("/"):
        return "", value
    path, *rest = value.split(maxsplit=1)
    return path, "".join(rest)


def path_matches(pattern: str, path: str) -> bool:
    """Return whether a path begins as a pattern says; `*` is any text, and a final `$` the end."""
    ends = pattern.endswith("$")
    shape = ".*".join(re.escape(piece) for piece in pattern.removesuffix("$").split("*"))
    return re.match(shape + ("$" if ends else ""), path, re.DOTALL) is not None


def _content_signal(value: str) -> Iterator[Said]:
    said = "unknown"
    for member in value.split(","):
        name, _, answer = (part.strip().lower() for part in member.partition("="))
        if name == "ai-train":
            said = {"yes": "y", "no": "n"}.get(answer, "n")
    yield Said("CONTENT_SIGNALS", said)


# Headers, TDMRep and HTML ------------------------------------------------------------------------------------------


def _x_robots_tag(signal: Signal) -> Iterator[Said]:
    if not isinstance(signal.value, str):
        yield Said("PLATFORM", "n")
        return
    words = {word.strip().lower() for word in signal.value.split(",")}
    denied = "noai" in words or ("noimageai" in words and signal.has_media)
    yield Said("PLATFORM", "n" if denied else "unknown")


def _reservation(value: Any, place: int) -> Iterator[Said]:
    """Read a reservation; another value than 0 and 1 leaves it unset."""
    said = {"0": "y", "1": "n"}.get(str(value).strip())
    if said and not isinstance(value, bool):
        yield Said("TDMREP", said, place)


def _tdm_header(signal: Signal) -> Iterator[Said]:
    if isinstance(signal.value, dict | list):
        yield Said("TDMREP", "n", HEADER)
    else:
        yield from _reservation(signal.value, HEADER)


def _headers(signal: Signal) -> Iterator[Said]:
    if not isinstance(signal.value, dict):
        yield Said("TDMREP", "n", HEADER)
        return
    readers = {"content-usage": _content_usage, "x-robots-tag": _x_robots_tag, "tdm-reservation": _tdm_header}
    for name, value in signal.value.items():
        if name.lower() in readers:
            yield from readers[name.lower()](Signal(value, signal.path, signal.has_media))


def _tdm_file(signal: Signal) -> Iterator[Said]:
    entries = signal.value
    if not isinstance(entries, list) or not all(isinstance(each, dict) and "location" in each for each in entries):
        yield Said("TDMREP", "n", FILE)
        return
    for entry in entries:
        if path_matches(entry["location"], signal.path or "/"):
            yield from _reservation(entry.get("tdm-reservation"), FILE)
            return


class _Meta(HTMLParser):
    """The `meta` elements of a page, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        stated = dict(attrs)
        if tag == "meta" and stated.get("name"):
            self.named.append(((stated["name"] or "").lower(), stated.get("content") or ""))


def _html(signal: Signal) -> Iterator[Said]:
    if not isinstance(signal.value, str):
        yield Said("TDMREP", "n", EMBEDDED)
        return
    page = _Meta()
    page.feed(signal.value)
    page.close()
    for name, content in page.named:
        if name == "tdm-reservation":
            yield from _reservation(content, EMBEDDED)


# Files -------------------------------------------------------------------------------------------------------------

_CATEGORIES = ("ai_generative_training", "ai_training", "data_mining")


def _c2pa(signal: Signal) -> Iterator[Said]:
    assertion = signal.value
    if not isinstance(assertion, dict) or not isinstance(assertion.get("data"), dict):
        yield Said("C2PA", "n")
        return
    entries = assertion["data"].get("entries", assertion["data"])
    stated = entries if isinstance(entries, dict) else {"cawg.ai_training": entries}
    uses = [
        entry.get("use") if isinstance(entry, dict) else entry
        for name, entry in stated.items()
        if name.partition(".")[2] in _CATEGORIES
    ]
    yield Said("C2PA", "unknown" if not uses else "y" if all(use == "allowed" for use in uses) else "n")


def _c2pa_unverified(signal: Signal) -> Iterator[Said]:
    for said in _c2pa(signal):
        yield Said("C2PA", "n" if said.train_ai == "n" else "unknown")


def _term(value: Any) -> str:
    return value.rpartition("/")[2] if isinstance(value, str) else ""


def _data_mining(signal: Signal) -> Iterator[Said]:
    yield Said("IPTC", {"DMI-ALLOWED": "y", "DMI-UNSPECIFIED": "unknown"}.get(_term(signal.value), "n"))


def _model_age(signal: Signal) -> Iterator[Said]:
    of_age = re.fullmatch(r"AG-(A\d\d|U\d\d|UNK)", _term(signal.value))
    if of_age:
        yield Said("IPTC", shows_minor=(of_age[1] != "UNK" and of_age[1] < "A18") or bool(re.match(r"U\d", of_age[1])))
    else:
        yield Said("IPTC", shows_minor=True)


# Platforms and people ----------------------------------------------------------------------------------------------


def _activity_object(signal: Signal) -> Iterator[Said]:
    stated = signal.value.get("xRobotsTag", signal.value.get("SPC")) if isinstance(signal.value, dict) else ["?"]
    if isinstance(stated, str):
        yield Said("ACTIVITYPUB", "n" if "noai" in re.split(r"[\s,]+", stated.lower()) else "unknown")
    elif stated is not None:
        yield Said("ACTIVITYPUB", "n")


def _actor(signal: Signal) -> Iterator[Said]:
    indexable = signal.value.get("indexable") if isinstance(signal.value, dict) else "?"
    yield Said("ACTIVITYPUB", "unknown" if indexable is None or indexable is True else "n")


def _user_intents(signal: Signal) -> Iterator[Said]:
    if signal.value is not None:  # a record that was removed withdraws nothing
        intent = signal.value.get("syntheticContentGeneration", {})
        yield Said("ATPROTO", objects=intent.get("allow") is False)


def _preferences(signal: Signal) -> Iterator[Said]:
    """Read the lexicon's records: one for an entity goes before one for a collection, and that before the global one.

    Which entity asks is not known here, so that a denial to any counts, and an allowance to one does not.
    """
    allowed: dict[str, list[bool]] = {}
    for record in signal.value or []:
        training, scope = record["preferences"].get("training"), record["scope"]
        kind = scope["$type"].rpartition("#")[2]
        if training and (kind != "collectionScope" or scope["collection"] == signal.path):
            allowed.setdefault(kind, []).append(training["allow"])
    if not all(allowed.get("collectionScope", [])):
        yield Said("ATPROTO", "n")
    yield Said("ATPROTO", objects=not all([*allowed.get("entityScope", []), *allowed.get("globalScope", [])]))


_refusal = re.compile(r"\b(do not|don't|not) (consent|agree|allow)\b.*\bAI\b.*\btraining\b|#noai\b", re.IGNORECASE)


def _natural_language(signal: Signal) -> Iterator[Said]:
    if not isinstance(signal.value, str) or _refusal.search(signal.value):
        yield Said("NATURAL_LANGUAGE", "n")


def _nothing(_: Signal) -> Iterator[Said]:
    yield from ()


STANDARDS: dict[str, Reader] = {
    "http-header Content-Usage": _content_usage,
    "robots.txt": _robots,
    "http-header X-Robots-Tag": _x_robots_tag,
    "http-header tdm-reservation": _tdm_header,
    "http-headers": _headers,
    "/.well-known/tdmrep.json": _tdm_file,
    "text/html": _html,
    "C2PA assertion": _c2pa,
    "C2PA assertion in a manifest whose signature fails": _c2pa_unverified,
    "XMP plus:DataMining": _data_mining,
    "XMP plus:MinorModelAgeDisclosure": _model_age,
    "org.user-intents.declaration": _user_intents,
    "community.lexicon.preference.ai": _preferences,
    "ActivityStreams object": _activity_object,
    "ActivityPub actor": _actor,
    "http-request header Sec-GPC": _nothing,
    "text of the item": _natural_language,
}


def read_signal(standard: str, written: str, path: str | None, has_media: bool) -> list[Said]:
    """Read a signal whose value is written as JSON."""
    return list(STANDARDS[standard](Signal(json.loads(written), path, has_media)))
