"""AT Protocol: the user intents that Bluesky proposed, and the preferences of the community lexicon.

A statement about a whole account is an objection by automated means (GDPR Article 21(5)); one about a collection is a
mark on its items.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from db.signals.statement import NOTHING, UNDATED, Found, Reading, Statement, stated_instant
from db.vocabulary import RightsSource


class _Preference(NamedTuple):
    """A preference: allowed or not (what cannot be read is not), since when, and why it could not be read."""

    allowed: bool
    since: datetime
    fault: str | None


def read_user_intents(found: Found) -> Reading:
    """Read the signal of a user's intents on Bluesky: `syntheticContentGeneration` is about training.

    A declaration that was removed says nothing; what it said before stands until the person withdraws it.
    """
    if found.value is None:
        return NOTHING
    if not isinstance(found.value, dict):
        return Reading(objected_at=UNDATED, fault="the declaration is not an object")
    intent = _preference(found.value, "syntheticContentGeneration")
    if intent is None or intent.allowed:
        return NOTHING
    return Reading(objected_at=intent.since, fault=intent.fault)


def read_ai_preferences(found: Found) -> Reading:
    """Read the signal of an account's AT Protocol records about AI: the most specific one counts.

    A record that says nothing of training inherits. Where it is not known which entity the platform is, a denial can be
    meant for it, and an allowance is not believed.
    """
    records = found.value if isinstance(found.value, list) else [] if found.value is None else [found.value]
    entity, collection, everything = [], [], []
    for record in records:
        preference = _training(record)
        if preference is None:
            continue
        kind, name = _scope(record)
        if kind == "entityScope":
            if name == found.consumer or (found.consumer is None and not preference.allowed):
                entity.append(preference)
        elif kind == "collectionScope":
            if _is_of_collection(found.path, name):
                collection.append(preference)
        elif kind == "globalScope":
            everything.append(preference)
        else:
            everything.append(_Preference(False, preference.since, "a record has an unknown scope"))
    return _settled_preferences(entity, collection, everything)


def _settled_preferences(
    entity: list[_Preference], collection: list[_Preference], everything: list[_Preference]
) -> Reading:
    """Settle an account's AT Protocol preferences on training into one signal."""
    fault = next((each.fault for each in (*entity, *collection, *everything) if each.fault), None)
    denials = [each.since for each in entity or everything if not each.allowed]
    marks = () if entity or not collection else (_mark(collection),)
    return Reading(marks, objected_at=min(denials, default=None), fault=fault)


def _mark(collection: list[_Preference]) -> Statement:
    """Combine the AT Protocol preferences of a collection into one statement on training."""
    allowed = all(each.allowed for each in collection)
    return Statement(
        RightsSource.ATPROTO, "y" if allowed else "n", next((e.fault for e in collection if e.fault), None)
    )


def _training(record: object) -> _Preference | None:
    """Read the preference on training in an AT Protocol record."""
    if not isinstance(record, dict):
        return _Preference(False, UNDATED, "a preference is not a record")
    preferences = record.get("preferences", {})
    if not isinstance(preferences, dict):
        return _Preference(False, UNDATED, "a record's preferences are not an object")
    return _preference({"updatedAt": record.get("updatedAt")} | preferences, "training")


def _preference(stated: Mapping[str, Any], name: str) -> _Preference | None:
    """Read an AT Protocol preference that is allowed, denied, or left undefined, which returns None."""
    preference = stated.get(name)
    if preference is None:
        return None
    if not isinstance(preference, dict):
        return _Preference(False, UNDATED, f"{name} is not an object")
    if "allow" not in preference:
        return None
    allow = preference["allow"]
    since = stated_instant(preference.get("updatedAt")) or stated_instant(stated.get("updatedAt")) or UNDATED
    fault = None if isinstance(allow, bool) else f"{name} must be true or false"
    return _Preference(allow is True, since, fault)


def _scope(record: object) -> tuple[str | None, object]:
    """Return the scope of an AT Protocol preference: its type, and the entity or collection that it names."""
    scope = record.get("scope") if isinstance(record, dict) else None
    kind = scope.get("$type") if isinstance(scope, dict) else None
    if not isinstance(scope, dict) or not isinstance(kind, str):
        return None, None
    return kind.rpartition("#")[2], scope.get("entity", scope.get("collection"))


def _is_of_collection(path: str | None, collection: object) -> bool:
    """Return whether an AT Protocol preference's collection has an item; unknown counts as yes."""
    return path is None or not isinstance(collection, str) or collection in path.split("/")
