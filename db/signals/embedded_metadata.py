"""What a picture, film or sound carries: CAWG and C2PA assertions on training, and the properties of IPTC and PLUS."""

from typing import Any

from db.signals.statement import NOTHING, Found, Reading, Standard, Statement, combine_statements, reserved, strictest
from db.vocabulary import RightsSource, TrainAI

# Data mining is what Article 4 of Directive (EU) 2019/790 lets people reserve, and training does it.
_CATEGORIES = ("ai_generative_training", "ai_training", "data_mining")
_PREFIXES = ("cawg.", "c2pa.")
# A constrained use is not allowed until its constraint is met, which nothing here can tell.
_USES: dict[object, TrainAI] = {"allowed": "y", "notAllowed": "n", "constrained": "n"}

_PLUS = "http://ns.useplus.org/ldf/vocab/"
_DATA_MINING: dict[str, TrainAI] = {
    "DMI-UNSPECIFIED": "unknown",
    "DMI-ALLOWED": "y",
    "DMI-PROHIBITED-AIMLTRAINING": "n",
    "DMI-PROHIBITED-GENAIMLTRAINING": "n",
    "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING": "n",
    "DMI-PROHIBITED": "n",
    "DMI-PROHIBITED-SEECONSTRAINT": "n",
    "DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR": "n",
    "DMI-PROHIBITED-SEELINKEDRIGHTSEXPR": "n",
}
_OF_AGE = frozenset(f"AG-A{age}" for age in range(18, 26))
_MINOR = frozenset({"AG-U14", "AG-A14", "AG-A15", "AG-A16", "AG-A17"})


def read_assertion(found: Found) -> Reading:
    """Read the signal of an assertion `cawg.training-mining`, or `c2pa.training-mining` of C2PA 1.x.

    In a manifest whose signature fails a reservation counts all the same, and an allowance does not.
    """
    label = found.value.get("label") if isinstance(found.value, dict) else None
    if not isinstance(label, str):
        return combine_statements(reserved(RightsSource.C2PA, "the C2PA assertion has no label"))
    if not label.startswith(tuple(f"{prefix}training-mining" for prefix in _PREFIXES)):
        return NOTHING  # another assertion, which says nothing of training
    statement = _training_mining(found.value.get("data"))
    if statement.train_ai == "y" and found.standard is Standard.C2PA_UNVERIFIED:
        return combine_statements(statement._replace(train_ai="unknown"))
    return combine_statements(statement)


def _training_mining(data: object) -> Statement:
    """Read what an assertion of C2PA or CAWG states of training."""
    entries: Any = data.get("entries", data) if isinstance(data, dict) else None
    if not isinstance(entries, dict):
        return reserved(RightsSource.C2PA, "the assertion has no entries")
    stated: dict[str, TrainAI] = {}
    fault = None
    for prefix in _PREFIXES:
        for category in _CATEGORIES:
            if f"{prefix}{category}" not in entries:
                continue
            entry = entries[f"{prefix}{category}"]
            use = entry.get("use") if isinstance(entry, dict) else None
            if not isinstance(use, str) or use not in _USES:
                fault = f"the use of {category} must be one of {', '.join(map(str, _USES))}"
                stated[category] = "n"
            else:
                stated[category] = strictest([_USES[use], stated.get(category, "unknown")])
    allowed = stated.get("ai_generative_training") == "y"
    train_ai: TrainAI = "n" if "n" in stated.values() else "y" if allowed else "unknown"
    return Statement(RightsSource.C2PA, train_ai, fault)


def read_data_mining(found: Found) -> Reading:
    """Read the signal of the property `plus:DataMining`. An unknown or newer term reserves.

    A bare term without the vocabulary's address is no value of that property but a platform's copy of it.
    """
    if not isinstance(found.value, str):
        return combine_statements(reserved(RightsSource.IPTC, "plus:DataMining is not a string"))
    term = found.value.strip()
    source = RightsSource.IPTC if term.startswith(_PLUS) else RightsSource.PLATFORM
    train_ai = _DATA_MINING.get(term.removeprefix(_PLUS))
    if train_ai is None:
        return combine_statements(reserved(RightsSource.IPTC, "plus:DataMining has a value that PLUS does not define"))
    return combine_statements(Statement(source, train_ai))


def read_model_age(found: Found) -> Reading:
    """Read the signal of `plus:MinorModelAgeDisclosure`: a minor's age class is a finding of the scanner `minors`."""
    term = found.value.strip().removeprefix(_PLUS) if isinstance(found.value, str) else ""
    if term in _OF_AGE or term == "AG-UNK":
        return NOTHING
    fault = None if term in _MINOR else "plus:MinorModelAgeDisclosure has a value that PLUS does not define"
    return Reading(minors="FLAGGED", fault=fault)
