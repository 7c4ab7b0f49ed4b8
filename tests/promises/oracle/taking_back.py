"""Which lines turn a fact from a value that fails to one that passes, and so restart a dwell."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.policies import Policy
from tests.promises.oracle.records import MEDIA_KINDS, Record, adult_from
from tests.promises.oracle.signals import is_reserved, scanned_for_minors
from tests.promises.oracle.verdicts import Verdict, all_of, is_value

LEAVING = {"DELETED", "DELETION_PENDING"}
FIRST_FACTS = {"deletion", "reservation", "special_category", "safety", "minors", "leaving", "birth"}
Target = tuple[str, str]  # what waits: ("content", id), ("family", id of its medium), ("standing", id of an account)…
Fact = Callable[[Record, datetime], Verdict]


@dataclass(frozen=True)
class Statement:
    """A good line: what it says, and when it was loaded."""

    record: Record
    loaded_at: datetime


def waits_for(name: str, history: Sequence[Statement], policy: Policy, features: Features) -> dict[Target, datetime]:
    """Return from when each target waits, by every line of one record in the order of `observed_at`."""
    found: dict[Target, datetime] = {}
    for target, since in _restarts(name, history, policy, features):
        found[target] = max(since, found.get(target, since))
    return found


def _restarts(
    name: str, history: Sequence[Statement], policy: Policy, features: Features
) -> Iterator[tuple[Target, datetime]]:
    if name not in ("account", "content", "notice"):
        return
    wide = Feature.TAKING_BACK in features
    if name == "notice":
        yield from _bounces_taken_back(history)
        return
    facts = {"account": _account_facts, "content": _content_facts}[name](policy)
    for fact, verdict in facts.items():
        if fact != "leaving" if wide else fact in FIRST_FACTS:
            for index, since in _turned(history, verdict, wide):
                yield _target(name, fact, history[index].record), since
    for before, after in pairwise(history):
        since = max(before.loaded_at, after.loaded_at)
        if name == "account" and not _all_covered(before.record["compromised"], after.record["compromised"]):
            yield ("standing", after.record["id"]), since
        if name == "content" and wide:
            for target in _taken_out(before.record, after.record):
                yield target, since


def _target(name: str, fact: str, record: Record) -> Target:
    if name == "content":
        return "content", record["id"]
    return "birth" if fact == "birth" else "standing", record["id"]


def _turned(history: Sequence[Statement], verdict: Fact, wide: bool) -> Iterator[tuple[int, datetime]]:
    """Yield each line that a fact fails no longer by, and from when that waits.

    A value that is not known, between one that fails and one that passes, changes nothing: the failing value waits when
    it is left, and once more when the passing one comes.
    """
    for index in range(1, len(history)):
        after = history[index]
        earlier = [index - 1] if not wide else range(index - 1, -1, -1)
        for position in earlier:
            before = history[position]
            since = max(before.loaded_at, after.loaded_at)
            failed, fails = verdict(before.record, since), verdict(after.record, since)
            if failed is None:
                continue
            if failed is False and fails is not False and (fails or position == index - 1):
                yield index, since
            break


def _content_facts(policy: Policy) -> dict[str, Fact]:
    def scanned(scanner: str) -> Fact:
        return lambda item, _: is_value("CLEAR", item["scans"].get(scanner))

    return {
        "deletion": lambda item, _: item["deleted_at"] is None,
        "reservation": lambda item, _: not is_reserved(item),
        "special_category": scanned("special_category"),
        "safety": scanned("safety"),
        "minors": lambda item, _: is_value("CLEAR", scanned_for_minors(item)),
        "audience": lambda item, _: is_value("PUBLIC", item["audience"]),
        "kind": lambda item, _: policy.is_trained_on(item["kind"]),
        "conversation": lambda item, _: is_value("ASSISTANT_ONLY", item.get("conversation")),
        "deidentified": lambda item, _: all_of(*(medium[3] for medium in item["media"])),
    }


def _account_facts(policy: Policy) -> dict[str, Fact]:
    regions, kinds = policy.document["regions"], policy.document["account_kinds"]
    return {
        "birth": lambda account, at: None if account["born_on"] is None else adult_from(account["born_on"]) <= at,
        "reservation": lambda account, _: not is_reserved(account),
        "leaving": lambda account, _: account["status"] not in LEAVING,
        "status": lambda account, _: account["status"] == "ACTIVE",
        "kind": lambda account, _: account["kind"] in kinds,
        "country": lambda account, _: None if account["country"] is None else account["country"] in regions,
    }


def _bounces_taken_back(history: Sequence[Statement]) -> Iterator[tuple[Target, datetime]]:
    """Yield the accounts of a notice that bounced, and is later said not to have bounced.

    An account is told of by the lines that name it: what those in between say of other accounts does not count.
    """
    for index, after in enumerate(history):
        account = after.record["account"]
        for before in reversed(history[:index]):
            if before.record["bounced_at"] or before.record["account"] == account:
                if before.record["bounced_at"] and not after.record["bounced_at"]:
                    yield ("standing", account), max(before.loaded_at, after.loaded_at)
                break


def _taken_out(before: Record, after: Record) -> Iterator[Target]:
    """Yield what waits because a later line names a person, an account, a parent or a family no longer.

    Whether that which was named fails changes with other records and with time, so that to name it no longer is enough.
    A family that loses a member waits too, for it loses what the member said, and so does the member.
    """
    item: Target = ("content", after["id"])
    if _people(before) - _people(after) or before["account"] != after["account"]:
        yield item
    if before["parent"] and before["parent"] != after["parent"]:
        yield item
    family = family_of(before)
    if family and family != family_of(after):
        yield item
        yield "family", family


def _people(item: Record) -> set[tuple[str, str]]:
    return {(kind, named) for kind, named, _ in item["references"]}


def family_of(item: Record) -> str | None:
    """Return the id of the medium whose family an item belongs to, if that medium is one."""
    if item["kind"] in MEDIA_KINDS:
        return str(item["id"])
    return item["parent"] if item["kind"] == "CAPTION" else None


def _all_covered(old: Iterable[tuple[Any, Any]], new: Iterable[tuple[Any, Any]]) -> bool:
    return all(_covered(window, new) for window in old)


def _covered(window: tuple[datetime, datetime], windows: Iterable[tuple[datetime, datetime]]) -> bool:
    uncovered_from, end = window
    for start, stop in sorted(windows):
        if start <= uncovered_from <= stop:
            uncovered_from = stop
            if stop >= end:
                return True
    return False
