"""The conditions of an item: itself, its parents, its family, and the people that it references."""

from datetime import datetime

from tests.promises.oracle.facts import Facts
from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.persons import Persons
from tests.promises.oracle.policies import Policy
from tests.promises.oracle.records import ALWAYS, MEDIA_KINDS, Record
from tests.promises.oracle.signals import is_reserved, is_seen, scanned_for_minors
from tests.promises.oracle.taking_back import family_of
from tests.promises.oracle.texts import is_blank
from tests.promises.oracle.verdicts import Verdict, all_of, is_reached, is_value, unless

MAX_CHAIN_LENGTH = 64  # parents
CHILDREN = {"COMMENT", "CAPTION"}  # kinds that must name a parent


class Items:
    """The items at one instant."""

    def __init__(self, facts: Facts, policy: Policy, features: Features, persons: Persons, now: datetime) -> None:
        self._facts, self._policy, self._features, self._persons, self._now = facts, policy, features, persons, now

    def verdicts(self, item: Record) -> dict[str, Verdict]:
        """Judge every condition that reads an item, its parents, its family and the people that it references."""
        dwell = self._policy.dwell
        last_edit = max(item["created_at"], item["edited_at"] or ALWAYS)
        family = self._family(item)
        return {
            "AUDIENCE_PUBLIC": all_of(is_value("PUBLIC", item["audience"]), self._parents_public(item)),
            "CONVERSATION_OWN": item["kind"] != "AI_INTERACTION"
            or is_value("ASSISTANT_ONLY", item.get("conversation")),
            "AUDIENCE_STABLE": is_reached(self._now - dwell["audience"], item["audience_since"]),
            "CONTENT_LIVE": item["deleted_at"] is None,
            "CONTENT_SETTLED": all_of(
                last_edit <= self._now - dwell["content"],
                not self._waits(item, family),
                unless(self._is_quarantined(item)),
            ),
            **self._of_family(item, family),
            "DEIDENTIFIED": self._deidentified(item),
        }

    def _is_quarantined(self, item: Record) -> bool:
        return self._facts.is_set_aside(("content", item["id"]))

    def _waits(self, item: Record, family: list[Record]) -> bool:
        own = family_of(self._facts.stored["content"][item["id"]])
        return any(self._persons.waits("content", member["id"]) for member in family) or (
            Feature.FAMILIES in self._features and own is not None and self._persons.waits("family", own)
        )

    def _family(self, item: Record) -> list[Record]:
        """Return an item and the other members of its family: a photo, video or audio and the captions that name it."""
        medium = self._facts.item(item["parent"]) if item["kind"] == "CAPTION" else item
        if Feature.FAMILIES not in self._features or medium is None or medium["kind"] not in MEDIA_KINDS:
            return [item]
        others = map(self._facts.item, self._facts.captions[medium["id"]])
        captions = [one for one in others if one and one["kind"] == "CAPTION" and one["parent"] == medium["id"]]
        return [medium, *captions]

    def _of_family(self, item: Record, family: list[Record]) -> dict[str, Verdict]:
        """Judge what each member of a family counts for; one that is quarantined leaves the others at best UNKNOWN.

        Reservations are never unknown, and what the quarantined item itself says still counts for itself.
        """
        reaches = Feature.QUARANTINE_REACH in self._features
        doubted = reaches and any(self._is_quarantined(member) for member in family if member["id"] != item["id"])
        sound = unless(doubted)
        return {
            "NO_OBJECTOR_REFERENCED": all_of(
                sound, *(self._persons.free_of_objectors(one) for member in family for one in member["references"])
            ),
            "NO_MINOR_REFERENCED": all_of(
                sound,
                *(self._persons.adult_now(one) for member in family for one in member["references"]),
                *(self._scanned_for_minors(member) for member in family),
            ),
            "NO_RIGHTS_RESERVATION": not any(map(self._is_reserved, family)),
            "NO_SPECIAL_CATEGORY": all_of(
                sound, *(is_value("CLEAR", member["scans"]["special_category"]) for member in family)
            ),
            "CONTENT_SAFE": all_of(sound, *(is_value("CLEAR", member["scans"]["safety"]) for member in family)),
        }

    def _is_reserved(self, item: Record) -> bool:
        """Return whether an item reserves, or its account does for all its items."""
        account = self._facts.stored["account"].get(item["account"])
        return is_reserved(item) or (account is not None and is_reserved(account))

    def _scanned_for_minors(self, item: Record) -> Verdict:
        """Return whether a scanner saw no minor; where there is nothing to see it need not have looked."""
        found = scanned_for_minors(item)
        if Feature.MINORS_SCANNER not in self._features or (found is None and not is_seen(item)):
            return True
        return is_value("CLEAR", found)

    def _parents_public(self, item: Record) -> Verdict:
        """Judge the parents, up the chain: each PUBLIC, live and not quarantined.

        A COMMENT or CAPTION up the chain must name a parent too. Beyond the longest chain nothing is looked at.
        """
        if Feature.PARENTS not in self._features:
            return self._parent_public(item["parent"]) if item["kind"] == "COMMENT" else True
        verdicts: list[Verdict] = []
        seen, child = {item["id"]}, item
        while child["parent"]:
            parent = self._facts.item(child["parent"])
            if parent is None or parent["id"] in seen or len(seen) > MAX_CHAIN_LENGTH:
                return all_of(*verdicts, None)
            verdicts.append(self._parent_public(parent["id"]))
            seen.add(parent["id"])
            child = parent
        return all_of(*verdicts, unless(child["kind"] in CHILDREN))

    def _parent_public(self, identity: str | None) -> Verdict:
        parent = self._facts.item(identity) if identity else None
        if parent is None:
            return None
        sound = unless(self._is_quarantined(parent))
        return all_of(is_value("PUBLIC", parent["audience"]), parent["deleted_at"] is None, sound)

    def _deidentified(self, item: Record) -> Verdict:
        """Judge a text, that the gateway has processed as soon as it is loaded, and the flags of the media.

        A private message's text is not kept, and so is not processed.
        """
        parts: list[Verdict] = [deidentified for _, _, _, deidentified, *_ in item["media"]]
        if self._has_text(item):
            parts.append(unless(item["kind"] == "PRIVATE_MESSAGE"))
        if not parts:
            return None
        if Feature.PERSONAL_SPANS in self._features and self._policy.document.get("names") == "required":
            parts.append(unless(item["personal_spans"] is None))
        return all_of(*parts)

    def _has_text(self, item: Record) -> bool:
        if Feature.BLANK_TEXT not in self._features:
            return bool(item["text"])
        return bool(item["text"]) and not is_blank(item["text"], item["text_format"] == "HTML")
