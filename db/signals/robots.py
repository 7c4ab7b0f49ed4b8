"""robots.txt (RFC 9309): the rules of AIPREF (draft-ietf-aipref-attach) and of Content Signals for a path."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from db.signals.aipref import usage_statement
from db.signals.statement import Found, Reading, Statement, combine_statements, reserved
from db.vocabulary import RightsSource, TrainAI

AGENT = "grounds"
_SAFE = "/?=&:;,@!~'()+"
_ANSWERS: dict[str, TrainAI] = {"yes": "y", "no": "n"}


class PathRule(NamedTuple):
    """A line of a group: its name in lower case, the pattern of paths that it is about, and what it says."""

    name: str
    pattern: str
    value: str


def read_robots_txt(found: Found) -> Reading:
    """Read the signal of robots.txt for the item's path: all rules where the path is not known."""
    if not isinstance(found.value, str):
        fault = "robots.txt is not a string"
        return combine_statements(
            Statement(RightsSource.AIPREF, "unknown", fault), reserved(RightsSource.CONTENT_SIGNALS, fault)
        )
    rules = _rules_of_group(found.value)
    if found.path is not None and _is_disallowed(rules, found.path):
        return Reading(crawl=False)
    usage = usage_statement(rule.value for rule in _closest(rules, "content-usage", found.path))
    signals = [_content_signal(rule.value) for rule in _closest(rules, "content-signal", found.path)]
    return combine_statements(*usage.statements, *signals)


def path_matches(pattern: str, path: str) -> bool:
    """Match an item's path with a rule of robots.txt in linear time: `*` is any characters, a last `$` the end."""
    anchored = pattern.endswith("$")
    parts = [_normal(part) for part in pattern.removesuffix("$").split("*")]
    rest = _normal(path)
    if not rest.startswith(parts[0]):
        return False
    if len(parts) == 1:
        return not anchored or rest == parts[0]
    position = len(parts[0])
    for part in parts[1:-1]:
        position = rest.find(part, position) + len(part)
        if position < len(part):
            return False
    if anchored:
        return rest.endswith(parts[-1]) and len(rest) - len(parts[-1]) >= position
    return rest.find(parts[-1], position) >= 0


def _normal(path: str) -> str:
    """Normalise the percent-encoding of a path for robots.txt (RFC 9309, section 2.2.2)."""
    return quote(unquote_to_bytes(path), safe=_SAFE)


def _rules_of_group(text: str) -> list[PathRule]:
    """Take the rules of robots.txt for this agent, or else those of `*`."""
    groups: dict[str, list[PathRule]] = {}
    agents: set[str] = set()
    in_rules = False
    for name, value in _lines(text):
        if name == "user-agent":
            agents = (set() if in_rules else agents) | {value.partition("/")[0].strip().lower()}
            in_rules = False
            for agent in agents & {AGENT, "*"}:
                groups.setdefault(agent, [])
            continue
        in_rules = True
        for agent in agents & {AGENT, "*"}:
            groups[agent].append(_rule(name, value))
    return groups.get(AGENT, groups.get("*", []))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each line of robots.txt."""
    for line in text.lstrip("\ufeff").splitlines():
        name, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


def _rule(name: str, value: str) -> PathRule:
    """Parse one rule of robots.txt: its name, path pattern and preference."""
    if name in {"allow", "disallow"}:
        return PathRule(name, value, "")
    if value.startswith("/"):
        pattern, _, preference = value.partition(" ") if " " in value else value.partition("\t")
        pattern, *more = pattern.split("\t", 1)
        return PathRule(name, pattern, " ".join([*more, preference]).strip())
    return PathRule(name, "/", value)


def _is_disallowed(rules: list[PathRule], path: str) -> bool:
    """Return whether robots.txt forbids a path by its longest rule; of two of one length the one that allows counts."""
    matching = [
        (len(rule.pattern), rule.name == "allow")
        for rule in rules
        if rule.name in {"allow", "disallow"} and rule.pattern and path_matches(rule.pattern, path)
    ]
    return bool(matching) and not max(matching)[1]


def _closest(rules: list[PathRule], name: str, path: str | None) -> list[PathRule]:
    """Take the rules of robots.txt with the longest matching pattern; every one where no path is known."""
    named = [rule for rule in rules if rule.name == name]
    if path is None:
        return named
    matching = [rule for rule in named if path_matches(rule.pattern, path)]
    longest = max((len(rule.pattern) for rule in matching), default=0)
    return [rule for rule in matching if len(rule.pattern) == longest]


def _content_signal(value: str) -> Statement:
    """Read `Content-Signal: search=yes, ai-train=no` of robots.txt; an omitted signal states nothing."""
    train_ai: TrainAI = "unknown"
    for part in filter(str.strip, value.split(",")):
        name, _, answer = (word.strip().lower() for word in part.partition("="))
        if name == "ai-train":
            if answer not in _ANSWERS:
                return reserved(
                    RightsSource.CONTENT_SIGNALS, "Content-Signal states neither ai-train=yes nor ai-train=no"
                )
            train_ai = "n" if train_ai == "n" else _ANSWERS[answer]
    return Statement(RightsSource.CONTENT_SIGNALS, train_ai)
