"""Texts leave as their visible, de-identified text; blank ones are none; a policy can require a search for names."""

import json
from typing import Any

import pytest

from db.policies.activation import activate_policy
from db.policy.compile import compiled_views
from db.policy.document import parse_policy
from schema.actor import Role
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway, put_page_view
from tests.support.mutants import Killed

pytestmark = pytest.mark.database

NAMES = DEFAULT_POLICY | {"version": "names", "names": "required"}
ITEMS = """query { trainableContent(first: 10) {
  nodes { text media { type url alt } reason { conditions { code evidence } } } } }"""
MEDIUM = {"type": "image/png", "url": "https://media.example/1.png", "deidentified": True}


@pytest.fixture
async def known(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice")])
    return gateway


async def outcome(gateway: TestGateway, day: int, **fields: Any) -> str:
    assert (await gateway.ingest([fact("content", day, **fields)]))["total"]["accepted"] == 1
    _, _, outcomes = (await gateway.decisions())["item"]
    return outcomes["DEIDENTIFIED"]


async def test_a_text_of_which_nothing_can_be_seen_is_none(known: TestGateway) -> None:
    for day, (text, text_format, expected) in enumerate((
        (" ", None, "UNKNOWN"),
        ("\u200b\ufeff\u2800", "PLAIN", "UNKNOWN"),
        ("<p>&nbsp;</p>", "HTML", "UNKNOWN"),
        ("<p>&nbsp;</p>", None, "PASS"),
        ("<script>note</script><img alt='note'>", "HTML", "UNKNOWN"),
        ("<b>A</b>", "HTML", "PASS"),
    ), 3):  # fmt: skip
        assert await outcome(known, day, text=text, text_format=text_format) == expected


async def test_an_item_leaves_as_its_visible_text_without_identifiers_and_personal_spans(known: TestGateway) -> None:
    text = '<p>J&auml;ne met <a href="https://s.example/@joe">@<span>joe</span></a> at <i>joe</i>@example.org</p>'
    span = {"start": 3, "end": 12, "kind": "PERSON"}
    media = [MEDIUM | {"alt": "Call 0170 1234567"}, MEDIUM]
    await known.ingest([fact("content", 3, text=text, text_format="HTML", personal_spans=[span], media=media)])
    (item,) = (await known.ask(Role.TRAINING_CLIENT, ITEMS))["trainableContent"]["nodes"]
    assert item["text"] == "[PERSON] met [HANDLE] at [EMAIL]"
    assert [medium["alt"] for medium in item["media"]] == ["Call [PHONE]", None]
    (evidence,) = [each["evidence"] for each in item["reason"]["conditions"] if each["code"] == "DEIDENTIFIED"]
    assert evidence.endswith(", searched for names")


async def test_names_that_a_policy_requires_need_a_recogniser(known: TestGateway, killed: Killed) -> None:
    policy = parse_policy(json.dumps(NAMES))
    activate_policy(known.database_url, policy)
    assert await outcome(known, 3, personal_spans=None) == "UNKNOWN"
    assert await outcome(known, 4, text=None, media=[MEDIUM]) == "UNKNOWN"
    assert await pulled(known) == 0
    view = compiled_views(policy)["trainable_content"].replace("(c.names_sought OR NULL)", "TRUE")
    put_page_view(known.database_url, view)
    served = await pulled(known)
    killed(
        "names need not be looked for", "the page's view", f"{served} item without names looked for" if served else None
    )
    activate_policy(known.database_url, parse_policy(json.dumps(NAMES | {"version": "names-2"})))
    assert await outcome(known, 5, personal_spans=[]) == "PASS"
    assert await pulled(known) == 1


async def test_a_span_that_is_not_within_the_text_makes_a_bad_line(known: TestGateway) -> None:
    for text, start, end in (("A", 0, 2), (None, 0, 1), ("Heron", 3, 2), ("A", -1, 1)):
        item = fact("content", 3, text=text, personal_spans=[{"start": start, "end": end, "kind": "PERSON"}])
        (reject,) = (await known.ingest([item]))["rejects"]
        assert reject["field"].startswith("personal_spans")


async def pulled(gateway: TestGateway) -> int:
    return len((await gateway.ask(Role.TRAINING_CLIENT, ITEMS))["trainableContent"]["nodes"])
