"""Names are looked for within the process, by the operator's pipeline, and a pipeline that fails has not looked."""

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import db.ingest.stages as stages
from app.settings import SettingsError, read_settings
from db.deidentification.names import ANY_LANGUAGE, NameRecogniser, RecogniserFailed
from db.ingest.stages import configure_names, find_names
from db.ingest.staging import Stager, split_lines, stage_chunk
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from db.vocabulary import PLATFORM_PRODUCTS
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.campaigns import settings_of
from tests.support.command import grounds, write
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.name_models import make_name_model

TEXT = "Gestern traf ich Mara Lind (mara@example.org) bei der Example GmbH."
FOUND = "Gestern traf ich [PERSON] ([EMAIL]) bei der Example GmbH."
HTML = "<p>Gestern traf ich <b>Mara</b> Lind</p>"
MEDIA = [{"type": "image/png", "url": "https://media.example.org/1.png", "sha256": None, "deidentified": True}]
NAMES_REQUIRED = DEFAULT_POLICY | {"version": "names", "names": "required"}
pytestmark = pytest.mark.xdist_group("command")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_name_model(tmp_path / "model")


@pytest.fixture(autouse=True)
def _no_names() -> Iterator[None]:
    yield
    configure_names({})


def staged(**stated: Any) -> dict[str, Any]:
    """Return the staged columns of one item of German text."""
    line = json.dumps(fact("content", **({"language": "de", "text": TEXT} | stated))).encode()
    (row,) = stage_chunk(split_lines(line), PLATFORM_PRODUCTS, NOW).rounds[0]["content"]
    return dict(zip(stages.STAGES["content"].columns, row, strict=True))


def test_names_go_and_what_else_is_an_identifier_goes_with_them(model: Path) -> None:
    assert staged()["text"] == TEXT.replace("mara@example.org", "[EMAIL]")
    configure_names({"de": model})
    assert staged()["text"] == FOUND
    assert staged(text=HTML, text_format="HTML")["text"] == "Gestern traf ich [PERSON]"
    described = staged(media=[MEDIA[0] | {"alt": "Tobias Example am See"}])
    assert json.loads(described["media"])[0]["alt"] == "[PERSON] am See"


def test_the_platforms_spans_and_the_names_found_are_both_replaced(model: Path) -> None:
    configure_names({ANY_LANGUAGE: model})
    spans = [{"start": 0, "end": 7, "kind": "DATE"}, {"start": 17, "end": 21, "kind": "PERSON"}]
    assert staged(personal_spans=spans)["text"] == FOUND.replace("Gestern", "[DATE]")


def test_a_search_counts_only_where_a_pipeline_reads_the_language(model: Path) -> None:
    assert staged()["names_sought"] is False
    configure_names({"de": model})
    assert [staged(language=language)["names_sought"] for language in ("de", "de-AT", "fr", None)] == [
        *(True, True, False, False)
    ]
    assert staged(language="fr", personal_spans=[])["names_sought"] is True
    configure_names({"de": model, ANY_LANGUAGE: model})
    assert staged(language="fr")["names_sought"] is True


def test_a_pipeline_that_fails_leaves_no_text_and_no_decision(
    model: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(model)
    configure_names({"de": model})
    made = staged(media=[MEDIA[0] | {"alt": "Mara Lind"}], personal_spans=[])
    assert (made["text"], made["pipeline"], made["names_sought"]) == (None, None, None)
    assert "Mara" not in str(made)
    assert [str(model) in caplog.text, "Mara" in caplog.text] == [True, False]
    monkeypatch.setattr(stages, "find_names", lambda *_: None)
    left = staged()
    killed("a failure is no failure", "db/ingest/stages.py", "the text is stored" if left["pipeline"] else None)


def test_a_pipeline_of_the_wrong_kind_or_a_text_that_is_too_long_is_a_failure(model: Path) -> None:
    recogniser = NameRecogniser({"de": model})
    recogniser.load()
    with pytest.raises(RecogniserFailed, match="ValueError"):
        recogniser.find("a " * 600_000, "de")
    (model / "meta.json").write_text("{}")
    (model / "config.cfg").write_text("[nlp]\nlang = 7\n")
    with pytest.raises(RecogniserFailed):
        NameRecogniser({"de": model}).load()


def test_nothing_is_asked_of_the_network(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    configure_names({"de": model})
    assert find_names([TEXT], "de") == [[(17, 26, "[PERSON]")]]


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("{model},{model}", "list of languages"),
        ("de={model},de={model}", "list of languages"),
        ("d3={model}", "list of languages"),
        ("de=/nowhere", "has no file config.cfg"),
    ],
)
def test_a_wrong_setting_stops_the_start(model: Path, monkeypatch: pytest.MonkeyPatch, stated: str, said: str) -> None:
    monkeypatch.setenv("GROUNDS_NAMES", stated.format(model=model))
    with pytest.raises(SettingsError, match=said):
        read_settings()


async def test_an_item_whose_names_were_sought_qualifies_where_the_policy_requires_it(
    gateway: TestGateway, tmp_path: Path, model: Path
) -> None:
    gateway.set_clock(NOW)
    activate_policy(gateway.database_url, parse_policy(json.dumps(NAMES_REQUIRED)))
    file = write(
        tmp_path / "facts.ndjson",
        *(fact("account"), fact("notice"), fact("content", language="de", text=TEXT)),
        fact("content", id="french", language="fr", text="Bonjour."),
    )
    environment = settings_of(gateway.database_url, None) | {"GROUNDS_NAMES": f"de={model}"}
    done = grounds("ingest", file, data=tmp_path / "data", env=environment)
    assert done.returncode == 0, done.stderr
    outcomes = {item: found[2]["DEIDENTIFIED"] for item, found in (await gateway.decisions()).items()}
    assert outcomes == {"item": "PASS", "french": "UNKNOWN"}
    assert [node["text"] for node in await gateway.pull()] == [FOUND]
    shutil.rmtree(model / "entity_ruler")
    done = grounds("ingest", file, data=tmp_path / "data", env=environment)
    assert (done.returncode, "GROUNDS_NAMES: cannot load" in done.stderr) == (2, True)


async def test_the_process_that_stages_looks_for_names_too(model: Path) -> None:
    line = json.dumps(fact("content", language="de", text=TEXT)).encode()
    with closing(Stager({"de": model})) as stager:
        await stager.stage(line, 1, PLATFORM_PRODUCTS, NOW, first=False)
        assert stager._started is not None
        await asyncio.wrap_future(stager._started)
        configure_names({})  # of this process only
        made = await stager.stage(line, 1, PLATFORM_PRODUCTS, NOW, first=False)
    assert FOUND.encode() in made.rounds[0]["content"]
