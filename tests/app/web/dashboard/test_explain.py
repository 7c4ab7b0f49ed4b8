"""Explain, and the catalogue of conditions, at the dashboard."""

import re

import pytest

from db.policy.compile import conditions_of
from db.policy.document import default_policy
from schema.actor import Role
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

PAGE = "/dashboard/explain"


@pytest.fixture
async def objected(gateway: TestGateway) -> TestGateway:
    """An item that was permitted until its author objected, a day ago."""
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest([fact("account"), fact("content", text="<script>alert(1)</script>"), fact("notice")])
    gateway.set_clock(NOW - DAY)
    await gateway.ingest([fact("objection", account="author", received_at=(NOW - DAY).isoformat())])
    gateway.set_clock(NOW)
    return gateway


@pytest.mark.parametrize("role", [Role.PRIVACY_OFFICER, Role.AUDITOR])
async def test_an_item_is_explained_now_and_as_of_a_day(objected: TestGateway, role: Role) -> None:
    async with dashboard_browser(objected, role) as browser:
        day = (NOW - 10 * DAY).date().isoformat()
        page = (await browser.get(PAGE, params={"id": " item ", "day": day})).text
        headline = re.search(r"<h1>([^<]*)</h1>", page)
        assert headline is not None
        assert headline[1] == f"item is not permitted; at the end of {day} it was permitted."
        assert re.findall(r'<tr class="excludes">\s*<th scope="row"><a [^>]*>([^<]*)<', page) == [
            "No objection by the author is active."
        ]
        assert page.count("GDPR Article 21<") >= 1
        assert "<dt>Notice 2025-04</dt><dd>in app, delivered 2025-04-14 09:59 UTC</dd>" in page
        assert "<dt>Objection</dt><dd>all, received 2026-05-31 12:00 UTC</dd>" in page
        assert ("&lt;script&gt;" in page) == (role is Role.PRIVACY_OFFICER)
        assert "<script" not in page
        csv = (await browser.get(PAGE, params={"id": "item", "day": day, "format": "csv"})).text
        assert "NO_ACTIVE_OBJECTION,FAIL,objection received on 2" in csv


async def test_what_was_not_known_then_is_not_decided_then(objected: TestGateway) -> None:
    async with dashboard_browser(objected, Role.AUDITOR) as browser:
        page = (await browser.get(PAGE, params={"id": "item", "day": "2026-03-01", "known": "then"})).text
        assert "it was unknown" in page


async def test_a_clients_reference_is_explained_too(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    (received,) = await gateway.pull()
    async with dashboard_browser(gateway, Role.AUDITOR) as browser:
        assert "item is permitted." in (await browser.get(PAGE, params={"id": received["id"]})).text


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"id": "nothing"}, 404, "no item has the id nothing"),
        ({"id": "item", "day": "yesterday"}, 422, "The day is not a date"),
        ({"id": "x" * 3000}, 422, "An id has at most 2048 characters"),
        ({"id": "a\x00b"}, 422, "NUL"),
        ({"id": "<b>"}, 404, "no item has the id &lt;b&gt;"),
        ({"id": " "}, 200, "Why is an item permitted"),
    ],
)
async def test_what_cannot_be_explained_is_said(
    objected: TestGateway, asked: dict[str, str], status: int, said: str
) -> None:
    async with dashboard_browser(objected, Role.AUDITOR) as browser:
        answer = await browser.get(PAGE, params=asked)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_every_condition_has_its_sentence_its_source_and_its_rule(objected: TestGateway) -> None:
    async with dashboard_browser(objected, Role.DASHBOARD) as browser:
        page = (await browser.get("/dashboard/conditions")).text
        assert all(f"<code>{condition.code}</code>" in page for condition in conditions_of(default_policy()))
        assert page.count("<pre") == len(re.findall('<li id="', page))
        assert (await browser.get("/dashboard/conditions?format=csv")).text.startswith(
            "condition,sentence,legal source"
        )
