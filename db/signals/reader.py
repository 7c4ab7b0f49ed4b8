"""Read signals: each by the standard that it belongs to."""

from collections.abc import Callable

from db.signals.activitypub import read_activity_actor, read_activity_object
from db.signals.aipref import read_content_usage
from db.signals.at_protocol import read_ai_preferences, read_user_intents
from db.signals.embedded_metadata import read_assertion, read_data_mining, read_model_age
from db.signals.headers import read_headers, read_sec_gpc, read_x_robots_tag
from db.signals.natural_language import read_text
from db.signals.robots import read_robots_txt
from db.signals.statement import Found, Reading, Standard
from db.signals.tdmrep import read_html, read_tdm_file, read_tdm_header

MAX_VALUE_BYTES = 64 * 1024
MAX_PATH_LENGTH = 2048

_READERS: dict[Standard, Callable[[Found], Reading]] = {
    Standard.CONTENT_USAGE: read_content_usage,
    Standard.X_ROBOTS_TAG: read_x_robots_tag,
    Standard.TDM_RESERVATION: read_tdm_header,
    Standard.HTTP_HEADERS: read_headers,
    Standard.SEC_GPC: read_sec_gpc,
    Standard.ROBOTS_TXT: read_robots_txt,
    Standard.TDMREP_JSON: read_tdm_file,
    Standard.HTML: read_html,
    Standard.C2PA: read_assertion,
    Standard.C2PA_UNVERIFIED: read_assertion,
    Standard.DATA_MINING: read_data_mining,
    Standard.MINOR_MODEL_AGE: read_model_age,
    Standard.USER_INTENTS: read_user_intents,
    Standard.AI_PREFERENCES: read_ai_preferences,
    Standard.ACTIVITY_OBJECT: read_activity_object,
    Standard.ACTIVITY_ACTOR: read_activity_actor,
    Standard.TEXT: read_text,
}


def read_signal(found: Found) -> Reading:
    """Read one signal by its standard, in linear time. For any value this returns a reading and raises nothing."""
    return _READERS[found.standard](found)
