"""Convert an ActivityStreams 2.0 outbox to facts: actors become accounts, and what they created becomes items.

What an outbox does not state is null, so that the item does not qualify until the platform states it: the birth date
and the country of the author, what the scanners found, and whether media are de-identified.
"""

import html
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from app.convert.left_out import LeftOut

Facts = dict[str, Any]
_PUBLIC: Final = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_ACTORS: Final = {
    "Person": "PERSONAL",
    "Application": "PAGE",
    "Service": "PAGE",
    "Group": "PAGE",
    "Organization": "PAGE",
}
_KINDS: Final = {"Image": "PHOTO", "Video": "VIDEO", "Audio": "AUDIO"}
_OBJECTS: Final = frozenset({"Note", "Article", "Page", "Question", "Event", "Document", "Tombstone", *_KINDS})
_CREATING: Final = frozenset({"Create", "Update", "Add"})
_QUOTES: Final = ("quote", "quoteUrl", "quoteUri", "_misskey_quote")


class ActivityStreams:
    """A converter of ActivityStreams objects of one product, all observed at one instant."""

    def __init__(self, product: str, observed_at: datetime, left_out: LeftOut) -> None:
        self._product, self._left_out = product, left_out
        self._observed_at = observed_at.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def records(self, value: object) -> Iterator[Facts]:
        """Yield the facts in a part of an ActivityStreams export: a collection, an activity, an actor or an object."""
        if isinstance(value, list):
            for each in value:
                yield from self.records(each)
        elif not isinstance(value, Mapping):
            self._left_out.fault("values that are not objects (export the objects, not their addresses)")
        elif isinstance(items := value.get("orderedItems", value.get("items")), list):
            yield from self.records(items)
        else:
            yield from self._object(value)

    def _object(self, value: Mapping[str, Any]) -> Iterator[Facts]:
        """Yield the facts in an ActivityStreams activity, actor or object."""
        types = value["type"] if isinstance(value.get("type"), list) else [value.get("type")]
        kind = next((each for each in types if isinstance(each, str)), None)
        value = {**value, "type": kind}
        if kind in _CREATING or kind == "Delete":
            stated = value.get("object")
            if isinstance(stated, Mapping):
                yield from self._object({"attributedTo": value.get("actor"), **stated})
            else:
                self._left_out.fault(f"{kind} activities that contain no object (export the objects too)")
        elif kind in _ACTORS:
            yield self._account(value)
        elif kind in _OBJECTS:
            yield from self._item(value)
        elif kind == "Announce":
            self._left_out.note("boosts (convert the outbox of the boosted item's author)")
        else:
            self._left_out.note("activities or objects of other types")

    def _account(self, actor: Mapping[str, Any]) -> Facts:
        """Convert an ActivityStreams actor to an account."""
        status = "MEMORIALISED" if actor.get("memorial") else "SUSPENDED" if actor.get("suspended") else "ACTIVE"
        return {
            "record": "account",
            "id": actor.get("id"),
            "product": self._product,
            "kind": _ACTORS[actor["type"]],
            "status": status,
            "status_since": actor.get("published"),
            "compromised": [],
            "contacts": [],
            "signals": _signals("ActivityPub actor", actor, ("indexable",)),
            "observed_at": self._observed_at,
        }

    def _item(self, item: Mapping[str, Any]) -> Iterator[Facts]:
        """Convert an ActivityStreams object to an item. One without author or id is a fault."""
        account, deleted = _address(item.get("attributedTo")), item.get("deleted")
        if account is None or not isinstance(item.get("id"), str):
            self._left_out.fault("objects without an author or id (state attributedTo and id)")
            return
        created = item.get("published") or deleted
        audience = _audience(item)
        private = audience is None and item["type"] != "Tombstone"
        yield {
            "record": "content",
            "id": item["id"],
            "account": account,
            "kind": "PRIVATE_MESSAGE" if private else _kind(item),
            "audience": "ONLY_ME" if private else audience,
            "audience_since": created,
            "language": None if private else self._language(item),
            "text": None if private else self._text(item),
            "text_format": "HTML",
            "media": [] if private else self._media(item),
            "created_at": created,
            "edited_at": item.get("updated"),
            "deleted_at": deleted or (created if item["type"] == "Tombstone" else None),
            "parent": _address(item.get("inReplyTo")),
            "references": self._references(item),
            "rights": [],
            "signals": _signals("ActivityStreams object", item, ("xRobotsTag", "SPC")),
            "observed_at": self._observed_at,
        }

    def _text(self, item: Mapping[str, Any]) -> str | None:
        """Write the text of an ActivityStreams object in HTML: title, content warning, content and poll."""
        plain = [item.get("name"), item.get("summary")]
        options = [each.get("name") for name in ("oneOf", "anyOf") for each in _maps(item.get(name))]
        before, after = (
            [f"<p>{html.escape(text)}</p>" for text in texts if isinstance(text, str) and text]
            for texts in (plain, options)
        )
        content = item.get("content") or next(iter(self._translations(item).values()), "")
        return "".join([*before, content, *after]) or None

    def _language(self, item: Mapping[str, Any]) -> str | None:
        """Return the language of an ActivityStreams object, None if it states none or several."""
        languages = list(self._translations(item))
        self._left_out.note("texts in further languages (an item has only one text)", max(0, len(languages) - 1))
        return languages[0] if len(languages) == 1 else None

    @staticmethod
    def _translations(item: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the content of an ActivityStreams object by language."""
        stated = item.get("contentMap")
        return stated if isinstance(stated, Mapping) else {}

    def _media(self, item: Mapping[str, Any]) -> list[Facts]:
        """Convert the attachments of an ActivityStreams object to media that are not de-identified yet."""
        stated = _maps(item.get("attachment"))
        if item["type"] in _KINDS:
            stated = [item, *stated]
        media = []
        for each in stated:
            url = _address(each.get("url"))
            if url is None:
                self._left_out.note("attachments that are not files")
                continue
            kind = each.get("mediaType") or "application/octet-stream"
            medium = {"type": kind, "url": url, "deidentified": None}
            media.append(medium | ({"alt": each["name"]} if each.get("name") and each is not item else {}))
        return media

    def _references(self, item: Mapping[str, Any]) -> list[Facts]:
        """Convert the mentions and the quote of an ActivityStreams object to references."""
        tags = _maps(item.get("tag"))
        self._left_out.note("hashtags, emoji and other tags", sum(each.get("type") != "Mention" for each in tags))
        named = [_address(each.get("href")) for each in tags if each.get("type") == "Mention"]
        quoted = next((address for name in _QUOTES if (address := _address(item.get(name)))), None)
        references = [{"account": account, "relation": "MENTION"} for account in dict.fromkeys(named) if account]
        if quoted:  # an account that never arrives keeps the item out, until the platform states the author
            references.append({"account": f"author of {quoted}", "relation": "QUOTE"})
        return references


def _kind(item: Mapping[str, Any]) -> str:
    """Return the kind of item that an ActivityStreams object is."""
    return _KINDS.get(item["type"]) or ("COMMENT" if item.get("inReplyTo") else "POST")


def _audience(item: Mapping[str, Any]) -> str | None:
    """Return the audience to which an ActivityStreams object is addressed; None for named people or an empty list.

    What is addressed to the public in `cc` only is open to all and kept from discovery, which is not PUBLIC.
    """
    to, cc = (_addresses(item.get(name)) for name in ("to", "cc"))
    everybody = to + cc + [each for name in ("bto", "bcc", "audience") for each in _addresses(item.get(name))]
    if _PUBLIC & set(to):
        return "PUBLIC"
    if _PUBLIC & set(everybody):
        return "UNLISTED"
    return "FRIENDS" if any(each.rstrip("/").endswith("/followers") for each in everybody) else None


def _signals(standard: str, value: Mapping[str, Any], names: tuple[str, ...]) -> list[Facts]:
    """Return what an ActivityStreams object or actor says about training, as a signal."""
    stated = {name: value[name] for name in names if name in value}
    return [{"standard": standard, "value": stated}] if stated else []


def _addresses(value: object) -> list[str]:
    """Return the addresses in a property of an ActivityStreams object: one, several, or objects that have some."""
    values = value if isinstance(value, list) else [value]
    return [address for each in values if (address := _address(each))]


def _address(value: object) -> str | None:
    """Return the address that a property of an ActivityStreams object names; the first of several."""
    if isinstance(value, list):
        return next((address for each in value if (address := _address(each))), None)
    if isinstance(value, Mapping):
        return _address(value.get("id") or value.get("href") or value.get("url"))
    return value if isinstance(value, str) and value else None


def _maps(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a property of an ActivityStreams object."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Mapping)]
