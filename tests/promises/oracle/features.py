"""The parts of the specification that can be left out, so that the oracle follows a gateway that lacks some of them."""

from enum import StrEnum, auto


class Feature(StrEnum):
    """A part of the rules; without it the oracle decides as it did before that part was specified."""

    CAMPAIGNS = auto()  # a notice counts for the purposes, kinds and products that its campaign told of
    CONVERSATION = auto()  # the field `conversation` and the condition CONVERSATION_OWN
    PARENTS = auto()  # parents of every kind, and up the chain
    UNLISTED = auto()  # the audience UNLISTED
    FAMILIES = auto()  # a medium and its captions share references, rights and scans
    MINORS_SCANNER = auto()
    CONTACT_REFERENCES = auto()  # somebody depicted, by the hash of an address
    BLANK_TEXT = auto()  # the field `text_format`; what cannot be seen is no text
    PERSONAL_SPANS = auto()  # the field `personal_spans`, and policies that require it
    SIGNALS = auto()  # the field `signals`, and objections that an account's signals make
    RIGHTS_SOURCES = auto()  # the sources of rights that came with the signals
    PHONE = auto()  # objections by telephone
    MEDIA_ALT = auto()  # the field `alt` of media
    TAKING_BACK = auto()  # every fact of the specification's list restarts the dwell, not only the first few
    STALE_LINES = auto()  # a stale line restarts the dwell as it would have done in order
    OBJECTIONS_WIDEN = auto()  # every line of an objection counts, stale ones too
    PRIVATE_FOR_EVER = auto()  # an item that was ever of a private kind stays one
    QUARANTINE_REACH = auto()  # the other members of a quarantined item's family are UNKNOWN too
    QUARANTINE_FROM_LOADING = auto()  # a bad line whose instant cannot be read is as late as its loading
    NOTICES_SET_ASIDE = auto()  # a bad line of a notice or a consent makes that record count for nothing, and no more
    POLICY_FLOORS = auto()  # policies and holds that are refused
    ASSESSMENTS = auto()  # assessments and reviews that stop the programme when they are overdue
    CONSENT = auto()  # a prompt under OPTED_IN needs what a prompt needs


Features = frozenset[Feature]
ALL_FEATURES: Features = frozenset(Feature)
