"""The enumerations of the facts."""

from enum import StrEnum
from typing import Final, Literal

MAX_ID_BYTES: Final = 2048
"""The maximum length of an id of the platform in UTF-8. Ids in ActivityPub are URLs; PostgreSQL can index 2,704
bytes."""


class ContentKind(StrEnum):
    """The kinds of an item."""

    POST = "POST"
    COMMENT = "COMMENT"
    CAPTION = "CAPTION"
    PHOTO = "PHOTO"
    VIDEO = "VIDEO"
    AUDIO = "AUDIO"
    AI_INTERACTION = "AI_INTERACTION"
    PRIVATE_MESSAGE = "PRIVATE_MESSAGE"
    BUSINESS_MESSAGE = "BUSINESS_MESSAGE"


class Audience(StrEnum):
    """The audiences that an item can have on the platform."""

    PUBLIC = "PUBLIC"
    UNLISTED = "UNLISTED"
    FRIENDS = "FRIENDS"
    GROUP = "GROUP"
    ONLY_ME = "ONLY_ME"


class Conversation(StrEnum):
    """The participants of a conversation with the AI assistant."""

    ASSISTANT_ONLY = "ASSISTANT_ONLY"
    GROUP = "GROUP"


class TextFormat(StrEnum):
    """The formats in which a text is sent."""

    PLAIN = "PLAIN"
    HTML = "HTML"


class AccountKind(StrEnum):
    """The kinds of an account."""

    PERSONAL = "PERSONAL"
    PAGE = "PAGE"
    BUSINESS = "BUSINESS"


class AccountStatus(StrEnum):
    """The states of an account on the platform."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"
    DELETION_PENDING = "DELETION_PENDING"
    DELETED = "DELETED"
    MEMORIALISED = "MEMORIALISED"
    SUSPENDED = "SUSPENDED"


class NoticeChannel(StrEnum):
    """The channels by which a notice is delivered to an account."""

    IN_APP = "IN_APP"
    EMAIL = "EMAIL"


class ObjectionScope(StrEnum):
    """The scopes of an objection."""

    ALL = "ALL"
    PUBLIC_CONTENT = "PUBLIC_CONTENT"
    AI_INTERACTIONS = "AI_INTERACTIONS"


class MessageKind(StrEnum):
    """The kinds of messages of a campaign; only a notice counts for a condition."""

    NOTICE = "NOTICE"
    REMINDER = "REMINDER"
    EDUCATION = "EDUCATION"


class ObjectionChannel(StrEnum):
    """The channels through which an objection is received."""

    FORM = "FORM"
    EMAIL = "EMAIL"
    LETTER = "LETTER"
    PHONE = "PHONE"
    API = "API"
    THIRD_PARTY = "THIRD_PARTY"


class TargetKind(StrEnum):
    """The kinds of targets of an objection."""

    ACCOUNT = "ACCOUNT"
    PERSON = "PERSON"
    CONTACT = "CONTACT"


class Scan(StrEnum):
    """The findings of a scanner."""

    CLEAR = "CLEAR"
    FLAGGED = "FLAGGED"


class RightsSource(StrEnum):
    """The standards and conventions that forbid or allow training."""

    AIPREF = "AIPREF"
    TDMREP = "TDMREP"
    C2PA = "C2PA"
    IPTC = "IPTC"
    ATPROTO = "ATPROTO"
    ACTIVITYPUB = "ACTIVITYPUB"
    CONTENT_SIGNALS = "CONTENT_SIGNALS"
    PLATFORM = "PLATFORM"
    NATURAL_LANGUAGE = "NATURAL_LANGUAGE"


TrainAI = Literal["y", "n", "unknown"]
"""The meaning of a signal for training: `y` allows training, `n` reserves it, and `unknown` does neither."""

MEDIUM_KINDS = frozenset({ContentKind.PHOTO, ContentKind.VIDEO, ContentKind.AUDIO})
"""The kinds of content that are media; the parent of a caption is of one of these kinds."""

PRIVATE_KINDS = frozenset({ContentKind.PRIVATE_MESSAGE, ContentKind.BUSINESS_MESSAGE})
"""The kinds of content that no ground covers under any policy."""

PLATFORM_PRODUCTS = frozenset({"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"})
"""The products that an account can have in addition to the products in the policy."""

_ISO_3166_1 = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_ISO_3166_1.split())
"""The officially assigned alpha-2 codes of ISO 3166-1. Greece is GR and the United Kingdom GB, not EL and UK."""
_EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EUROPEAN_ECONOMIC_AREA = frozenset(_EEA.split())
"""The countries in which the GDPR applies."""

_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_EARLIER_LANGUAGES = "bh in iw ji jw mo sh"
LANGUAGES = frozenset((_ISO_639_1 + _EARLIER_LANGUAGES).split())
"""The language codes of two letters in the IANA registry of BCP 47: the codes of ISO 639-1, and its earlier codes."""


def is_language(subtag: str) -> bool:
    """Return whether a text can be the first part of a language tag: two letters that are registered, or any three."""
    return subtag.lower() in LANGUAGES if len(subtag) == 2 else len(subtag) == 3
