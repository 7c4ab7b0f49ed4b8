"""The policy that is in force, and those that are refused."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.records import NEVER, parse_instant

REGIONS = [
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT",
    "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO",
]  # fmt: skip
DEFAULT_POLICY: dict[str, Any] = {
    "version": "2025-05-27",
    "effective_from": "2025-05-27T12:00:00Z",
    "effective_until": None,
    "purposes": ["GENAI_TRAINING"],
    "regions": REGIONS,
    "account_kinds": ["PERSONAL"],
    "notice": {"epoch": "2025-04", "period_days": 30},
    "dwell": {
        "account_days": 7,
        "audience_days": 7,
        "content_hours": 24,
        "withdrawal_days": 14,
        "hold_hours": 24,
        "taken_back_days": 7,
    },
    "grounds": {
        "PUBLIC_CONTENT": {"kinds": ["POST", "COMMENT", "CAPTION", "PHOTO"], "products": ["FACEBOOK", "INSTAGRAM"]},
        "AI_INTERACTION": {"kinds": ["AI_INTERACTION"], "products": ["FACEBOOK", "INSTAGRAM", "MESSENGER"]},
    },
}
CONDITIONS = (
    "PROGRAMME_ACTIVE", "PURPOSE_MATCH", "NO_REGULATORY_HOLD", "REGION_COVERED",
    "ACCOUNT_IN_GOOD_STANDING", "ACCOUNT_KIND_COVERED",
    "AUTHOR_ADULT_NOW", "AUTHOR_ADULT_AT_CREATION", "NOT_COMPROMISED_AT_CREATION",
    "NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED", "NO_ACTIVE_OBJECTION",
    "CONTENT_KIND_COVERED", "AUDIENCE_PUBLIC", "CONVERSATION_OWN", "AUDIENCE_STABLE", "CONTENT_LIVE", "CONTENT_SETTLED",
    "NO_OBJECTOR_REFERENCED", "NO_MINOR_REFERENCED", "NO_RIGHTS_RESERVATION",
    "NO_SPECIAL_CATEGORY", "CONTENT_SAFE", "DEIDENTIFIED", "OPTED_IN",
)  # fmt: skip
NOT_REQUIRED = {
    "PUBLIC_CONTENT": {"CONVERSATION_OWN", "OPTED_IN"},
    "AI_INTERACTION": {"AUDIENCE_PUBLIC", "AUDIENCE_STABLE", "OPTED_IN"},
    "OPTED_IN": {"NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED"},
}
PRIVATE_KINDS = ("PRIVATE_MESSAGE", "BUSINESS_MESSAGE")
PRODUCTS = {"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"}
MIN_NOTICE_PERIOD = 14  # days
MIN_WITHDRAWAL_DWELL = 1  # days
COUNTRIES = frozenset(
    re.findall(
        "..",
        "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCG"
        "CHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGL"
        "GMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLA"
        "LBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONP"
        "NRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSV"
        "SXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW",
    )
)


def codes_of(features: Features) -> list[str]:
    """Return the conditions in the order of the specification, without those of features that are left out."""
    return [code for code in CONDITIONS if code != "CONVERSATION_OWN" or Feature.CONVERSATION in features]


class Policy:
    """A policy in the terms that the conditions need; ValueError for one that is refused."""

    def __init__(self, document: Mapping[str, Any], features: Features) -> None:
        self.document, self._features = document, features
        self.grounds: Mapping[str, Any] = document["grounds"]
        self._refuse()
        self.dwell = {
            name.rpartition("_")[0]: timedelta(**{name.rpartition("_")[2]: count})
            for name, count in document["dwell"].items()
        }
        self.effective_from = parse_instant(document["effective_from"])
        until = document["effective_until"]
        self.effective_until = NEVER if until is None else parse_instant(until)
        self._ground_of = {kind: name for name, ground in self.grounds.items() for kind in ground["kinds"]}
        self.products = PRODUCTS.union(*(ground["products"] for ground in self.grounds.values()))
        absent = {"OPTED_IN"} - self.grounds.keys()
        self.codes = [code for code in codes_of(features) if code not in absent]

    def _refuse(self) -> None:
        kinds = [kind for ground in self.grounds.values() for kind in ground["kinds"]]
        if self.grounds.keys() - NOT_REQUIRED.keys() or len(kinds) > len(set(kinds)) or set(PRIVATE_KINDS) & set(kinds):
            raise ValueError("grounds: one is unknown, two share a kind, or one names a private kind")
        if Feature.POLICY_FLOORS in self._features:
            if set(self.document["regions"]) - COUNTRIES:
                raise ValueError("regions: ISO 3166-1 does not have one of them")
            if self.document["notice"]["period_days"] < MIN_NOTICE_PERIOD:
                raise ValueError("notice.period_days: under the floor")
            if self.document["dwell"]["withdrawal_days"] < MIN_WITHDRAWAL_DWELL:
                raise ValueError("dwell.withdrawal_days: under the floor")

    def ground(self, kind: str) -> str:
        """Return the ground that a kind is judged against."""
        return str(self._ground_of.get(kind, "PUBLIC_CONTENT"))

    def is_trained_on(self, kind: str) -> bool:
        return kind in self._ground_of

    def not_required(self, kind: str) -> set[str]:
        """Return what the ground of a kind does not need."""
        ground = self.ground(kind)
        if ground != "OPTED_IN":
            return NOT_REQUIRED[ground]
        if Feature.CONSENT not in self._features:
            return NOT_REQUIRED[ground] | {"CONVERSATION_OWN"}
        like = "AI_INTERACTION" if kind == "AI_INTERACTION" else "PUBLIC_CONTENT"
        return NOT_REQUIRED[ground] | NOT_REQUIRED[like] - {"OPTED_IN"}

    def is_active(self, now: datetime) -> bool:
        return self.effective_from <= now < self.effective_until and not self._is_stopped(now)

    def _is_stopped(self, now: datetime) -> bool:
        """Return whether an assessment or the review is overdue and says STOP.

        A day that is named has ended for this as soon as it has ended somewhere, at UTC+14.
        """
        if Feature.ASSESSMENTS not in self._features:
            return False
        due = [(each["valid_until"], each["on_overdue"]) for each in self.document.get("assessments", [])]
        due.append((self.document.get("review_by"), self.document.get("on_overdue")))
        return any(until and then == "STOP" and _end_of(until) < now for until, then in due)


def _end_of(until: str) -> datetime:
    if "T" in until:
        return parse_instant(until)
    return parse_instant(f"{until}T00:00:00+14:00") + timedelta(days=1)
