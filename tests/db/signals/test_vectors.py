"""Each vector is read as it says, and nothing hostile makes a reader raise or take long."""

import json
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.signals import aipref, at_protocol, embedded_metadata, natural_language, robots, statement, tdmrep
from db.signals.reader import MAX_VALUE_BYTES, read_signal
from db.signals.statement import UNDATED, Found, Precedence, Reading, Standard, settle_signals
from db.vocabulary import RightsSource
from tests.support.mutants import Killed
from tests.support.signal_vectors import VECTORS, signals_of


def _readings(vector: dict[str, Any]) -> list[Reading]:
    context = vector.get("context") or {}
    return [
        read_signal(
            Found(
                Standard(signal["standard"]),
                signal["value"],
                signal["path"],
                has_media="kind" in context,
                consumer=context.get("consumer"),
            )
        )
        for signal in signals_of(vector)
    ]


def _disagreement(vector: dict[str, Any]) -> str | None:
    readings = _readings(vector)
    rights = [{"source": source, "train_ai": train_ai} for source, train_ai in settle_signals(readings).items()]
    objected = [reading.objected_at for reading in readings if reading.objected_at is not None]
    expected = vector["expected"]
    for name, value in expected.items():
        match name:
            case "rights":
                got: object = rights
                value = value or []
            case "NO_RIGHTS_RESERVATION":
                got = "FAIL" if any(right["train_ai"] == "n" for right in rights) else "PASS"
            case "crawl":
                got = next((reading.crawl for reading in readings if reading.crawl is not None), True)
            case "objection":
                got = objected
                value = [datetime.fromisoformat(value["received_at"])] if isinstance(value, dict) else []
            case _:
                got = dict.fromkeys(["minors"] if readings[0].minors else [], readings[0].minors)
                value = {scanner: finding for scanner, finding in value.items() if finding is not None}
        if got != value:
            return f"{vector['id']}: {name} is {got}, and should be {value}"
    return None


def _disagreements() -> list[str]:
    return [found for vector in VECTORS if (found := _disagreement(vector))]


def test_each_vector_is_read_as_it_says() -> None:
    assert len(VECTORS) == 84
    assert _disagreements() == []


MALFORMED: list[tuple[Standard, Any, str]] = [
    (Standard.CONTENT_USAGE, "train-ai=", "unknown"),
    (Standard.CONTENT_USAGE, "train-ai=n,", "unknown"),
    (Standard.CONTENT_USAGE, "TRAIN-AI=n", "unknown"),
    (Standard.CONTENT_USAGE, 7, "unknown"),
    (Standard.ROBOTS_TXT, "User-agent: *\nContent-Usage: train-ai==n", "unknown"),
    (Standard.ROBOTS_TXT, "User-agent: *\nContent-Signal: ai-train=maybe", "n"),
    (Standard.ROBOTS_TXT, {"a": 1}, "n"),
    (Standard.X_ROBOTS_TAG, 1, "n"),
    (Standard.HTTP_HEADERS, "tdm-reservation: 1", "n"),
    (Standard.TDM_RESERVATION, {"value": 1}, "n"),
    (Standard.TDMREP_JSON, "[{", "n"),
    (Standard.TDMREP_JSON, [{"tdm-reservation": 0}], "n"),
    (Standard.HTML, None, "n"),
    (Standard.C2PA, {"label": "cawg.training-mining"}, "n"),
    (Standard.C2PA, {"label": "c2pa.training-mining", "data": {"entries": {"c2pa.ai_training": "no"}}}, "n"),
    (Standard.C2PA, [], "n"),
    (Standard.DATA_MINING, ["DMI-ALLOWED"], "n"),
    (Standard.ACTIVITY_OBJECT, "noai", "n"),
    (Standard.ACTIVITY_OBJECT, {"xRobotsTag": {"noai": True}}, "n"),
    (Standard.ACTIVITY_ACTOR, {"indexable": "no"}, "n"),
    (Standard.TEXT, 1, "n"),
]


def test_a_malformed_signal_reserves_and_is_reported_but_for_aipref_which_is_unknown_and_reported() -> None:
    for standard, value, train_ai in MALFORMED:
        reading = read_signal(Found(standard, value))
        assert reading.fault, (standard, value)
        settled = settle_signals([reading])
        assert statement.strictest(settled.values()) == train_ai, (standard, value)
        assert settled.get(RightsSource.AIPREF, "unknown") == "unknown", (standard, value)
    for standard in (Standard.USER_INTENTS, Standard.AI_PREFERENCES):
        for value in ("no", [1], {"syntheticContentGeneration": 1, "preferences": 1}):
            reading = read_signal(Found(standard, value))
            assert (reading.objected_at, bool(reading.fault)) == (UNDATED, True), (standard, value)
    reading = read_signal(Found(Standard.MINOR_MODEL_AGE, "AG-A9"))
    assert (reading.minors, bool(reading.fault)) == ("FLAGGED", True)


# fmt: off
# ruff: noqa: E501 - a case reads best on its line
READ: list[tuple[Standard, Any, str | None, str | None]] = [
    (Standard.ROBOTS_TXT, "User-agent: grounds\nContent-Usage: train-ai=n\n\nUser-agent: *\nAllow: /", "/a", "n"),
    (Standard.ROBOTS_TXT, "User-agent: a\nUser-agent: *\nContent-Usage: /x*z$ train-ai=n", "/x/y/z", "n"),
    (Standard.ROBOTS_TXT, "User-agent: *\nContent-Usage: /x*z$ train-ai=n", "/x/y/zz", "n"),
    (Standard.ROBOTS_TXT, "User-agent: *\nContent-Usage: /x*z$ train-ai=n", "/x/y/z?", None),
    (Standard.ROBOTS_TXT, "User-agent: *\nContent-Usage: /%7Ea train-ai=n", "/~a/b", "n"),
    (Standard.ROBOTS_TXT, "User-agent: *\nDisallow: /a\nContent-Usage: train-ai=n", None, "n"),
    (Standard.ROBOTS_TXT, "Content-Usage: train-ai=n", "/a", None),
    (Standard.X_ROBOTS_TAG, "noimageai", None, "unknown"),
    (Standard.X_ROBOTS_TAG, "otherbot: noai", None, "n"),
    (Standard.HTTP_HEADERS, {"Content-Usage": "train-ai=y", "Server": "x"}, None, "y"),
    (Standard.TDM_RESERVATION, "0", None, "y"),
    (Standard.TDMREP_JSON, '[{"location": "/a*.jpg$", "tdm-reservation": 1}]', "/a/b.jpg", "n"),
    (Standard.TDMREP_JSON, [{"location": "/a", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}], None, "n"),
    (Standard.HTML, "<!-- <meta name='tdm-reservation' content='0'> --><META content=1 name=TDM-Reservation />", None, "n"),
    (Standard.HTML, '<meta name="robots" content="index, noai">', None, "n"),
    (Standard.HTML, "<p>hello</p>", None, None),
    (Standard.C2PA, {"label": "c2pa.training-mining", "data": {"entries": {"c2pa.ai_training": {"use": "notAllowed"}}}}, None, "n"),
    (Standard.C2PA, {"label": "c2pa.actions", "data": {}}, None, None),
    (Standard.DATA_MINING, "http://ns.useplus.org/ldf/vocab/DMI-UNSPECIFIED", None, "unknown"),
    (Standard.ACTIVITY_OBJECT, {"type": "Note"}, None, None),
    (Standard.TEXT, "Ich widerspreche dem Training einer KI mit meinen Beiträgen.", None, "n"),
    (Standard.TEXT, "Je refuse que mes photos servent à entraîner une IA.", None, "n"),
    (Standard.TEXT, "No autorizo que mis fotos se usen para entrenar una IA.", None, "n"),
    (Standard.TEXT, "Non acconsento che le mie foto siano usate per addestrare una IA.", None, "n"),
    (Standard.TEXT, "My train was not late.", None, None),

]
# fmt: on


def _misread() -> list[str]:
    found = []
    for standard, value, path, train_ai in READ:
        reading = read_signal(Found(standard, value, path))
        if list(settle_signals([reading]).values()) != ([] if train_ai is None else [train_ai]) or reading.fault:
            found.append(f"{standard}: {value}")
    return found


def test_what_no_vector_says_is_read_as_its_standard_says() -> None:
    assert _misread() == []


def test_a_preference_for_an_entity_counts_as_a_denial_where_the_own_name_is_not_known() -> None:
    def record(kind: str, allow: bool, **names: str) -> dict[str, Any]:
        return {"scope": {"$type": f"x#{kind}", **names}, "preferences": {"training": {"allow": allow}}}

    for records, objects in (
        ([record("globalScope", False), record("entityScope", True, entity="did:web:a")], True),
        ([record("globalScope", True), record("entityScope", False, entity="did:web:a")], True),
        ([record("globalScope", True), record("entityScope", True, entity="did:web:a")], False),
    ):
        reading = read_signal(Found(Standard.AI_PREFERENCES, records))
        assert (reading.objected_at is not None) is objects


_WORDS = "label data entries cawg.data_mining use scope $type preferences training allow syntheticContentGeneration"
_NAMES = st.sampled_from(
    [*_WORDS.split(), "updatedAt", "location", "tdm-reservation", "content-usage", "indexable", "SPC"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(value=_JSON, path=st.none() | st.text(max_size=20))
def test_whatever_a_value_is_a_reader_gives_a_reading(value: Any, path: str | None) -> None:
    for standard in Standard:
        for reading in (
            read_signal(Found(standard, value, path)),
            read_signal(Found(standard, json.dumps(value), path)),
        ):
            assert set(settle_signals([reading]).values()) <= {"y", "n", "unknown"}


HOSTILE = [
    *("<meta ", "<!--", "<meta name=", "<", '"', "a=", "a,", "a;", "a;a=(", "(", '"\\', "%", "%41", "*", "/*", "\n", ":", ";a"),
    *("user-agent: *\n", "User-agent: *\nContent-Usage: /*a*a*a$ train-ai=n\n", "Content-Signal: ai-train=no,", "noai,"),
    *("i do not ", "ai ", "training ", "no ai training my ", "#", "# no_", "[", "{", '{"a":', "train-ai=n, ", "é", "\ud800"),
]  # fmt: skip


def test_the_longest_hostile_value_takes_no_longer_than_linear_time_allows() -> None:
    slowest = 0.0
    for standard in Standard:
        for piece in HOSTILE:
            value = (piece * MAX_VALUE_BYTES)[:MAX_VALUE_BYTES]
            begun = time.process_time()
            read_signal(Found(standard, value, "/" + "a" * 2000))
            slowest = max(slowest, time.process_time() - begun)
    assert slowest < 0.5


MUTANTS: list[tuple[str, Any, str, Any]] = [
    ("AIPREF: an earlier label is ignored", aipref, "_EARLIER_LABELS", frozenset()),
    ("AIPREF: of two statements the allowance counts", aipref, "strictest", lambda all_: max(all_, default="unknown")),
    ("robots.txt: the rule that comes first counts", robots, "_closest", lambda rules, name, _: [r for r in rules if r.name == name][:1]),
    ("robots.txt: what may not be fetched is read", robots, "_is_disallowed", lambda rules, path: False),
    ("Content Signals: no is read as yes", robots, "_ANSWERS", {"yes": "n", "no": "y"}),
    ("TDMRep: 0 is read as a reservation", tdmrep, "_VALUES", {"1": "n", "0": "n"}),
    ("TDMRep: $ does not end a pattern", tdmrep, "path_matches", lambda pattern, path: path.startswith(pattern.removesuffix("$"))),
    ("TDMRep: the file goes before the header", tdmrep, "Precedence", type("P", (), {"FILE": 2, "HEADER": 1, "EMBEDDED": 0})),
    ("CAWG: data mining is ignored", embedded_metadata, "_CATEGORIES", ("ai_generative_training", "ai_training")),
    ("CAWG: constrained is allowed", embedded_metadata, "_USES", {"allowed": "y", "notAllowed": "n", "constrained": "y"}),
    ("C2PA: an allowance of a broken manifest counts", embedded_metadata, "Standard", type("S", (), {"C2PA_UNVERIFIED": None})),
    ("IPTC: a term that is not known says nothing", embedded_metadata, "reserved", lambda source, fault: statement.Statement(source, "unknown")),
    ("PLUS: 17 is of age", embedded_metadata, "_OF_AGE", frozenset({"AG-A17", "AG-A18", "AG-A25"})),
    ("AT Protocol: a collection objects", at_protocol, "_is_of_collection", lambda path, collection: False),
    ("Natural language: nothing is a refusal", natural_language, "_refuses", lambda sentence: False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "module", "attribute", "broken"), MUTANTS, ids=[mutant[0] for mutant in MUTANTS])
def test_a_broken_reader_is_noticed(
    name: str, module: Any, attribute: str, broken: Any, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(module, attribute, broken)
    found = _disagreements() or _misread()
    killed(name, f"{module.__name__}.{attribute}", found[0] if found else None)


def test_precedence_is_that_of_the_specification() -> None:
    assert Precedence.FILE < Precedence.HEADER < Precedence.EMBEDDED
