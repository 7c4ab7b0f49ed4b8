"""ActivityPub: the flags of an object (FEP-5e53) and of its actor (FEP-5feb)."""

from db.signals.headers import robots_directives
from db.signals.statement import NOTHING, Found, Reading, Statement, combine_statements, reserved
from db.vocabulary import RightsSource


def read_activity_object(found: Found) -> Reading:
    """Read the signal `xRobotsTag` of an ActivityPub object (`SPC` in an older draft)."""
    if not isinstance(found.value, dict):
        return combine_statements(reserved(RightsSource.ACTIVITYPUB, "the object is not a JSON object"))
    stated = [found.value[name] for name in ("xRobotsTag", "SPC") if found.value.get(name) is not None]
    readings = [
        robots_directives(value, has_media=found.has_media, source=RightsSource.ACTIVITYPUB) for value in stated
    ]
    return combine_statements(*(statement for reading in readings for statement in reading.statements))


def read_activity_actor(found: Found) -> Reading:
    """Read the signal `indexable` of an ActivityPub actor, which is about search.

    Consent to search is no consent to training. A refusal is taken at its strictest, since an author who refuses to be
    found does not expect to be trained on (GDPR recital 47).
    """
    if found.value is None:
        return NOTHING
    if not isinstance(found.value, dict):
        return combine_statements(reserved(RightsSource.ACTIVITYPUB, "the actor is not a JSON object"))
    indexable = found.value.get("indexable")
    if indexable is None or indexable is True:
        return combine_statements(Statement(RightsSource.ACTIVITYPUB, "unknown"))
    fault = None if indexable is False else "indexable must be true or false"
    return combine_statements(Statement(RightsSource.ACTIVITYPUB, "n", fault))
