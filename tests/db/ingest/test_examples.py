"""The examples, the JSON Schema and the page for platforms say what the gateway does."""

import json
import re

from db.ingest.records import records_schema
from db.policy.conditions import CONDITIONS
from tests.support.facts import NOW
from tests.support.gateway import TestGateway
from tests.support.repository import ROOT

FOLDER = ROOT / "db" / "ingest"
EXAMPLES = (FOLDER / "examples.ndjson").read_text(encoding="utf-8")


def test_the_schema_of_records_is_generated_from_the_models() -> None:
    stored = (FOLDER / "records.schema.json").read_text(encoding="utf-8")
    said = "write it by ./run grounds schema records > db/ingest/records.schema.json"
    assert json.loads(stored) == json.loads(json.dumps(records_schema())), said


def test_the_page_for_platforms_names_every_condition() -> None:
    page = (FOLDER / "QUALIFY.md").read_text(encoding="utf-8")
    rows = " ".join(re.findall(r"^\| ([A-Z_, ]+) \|", page, re.MULTILINE))
    assert sorted(re.findall(r"[A-Z_]{5,}", rows)) == sorted(condition.code for condition in CONDITIONS)


async def test_the_example_of_an_item_that_qualifies_does(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    answer = await gateway.ingest(EXAMPLES.splitlines())
    assert (answer["rejects"], answer["unreadableSignals"]) == ([], [])
    permitted = await gateway.platform_ids(item["id"] for item in await gateway.pull())
    assert set(permitted) == {"c-1", "c-2", "c-3"}, "all but the one that is deleted"
