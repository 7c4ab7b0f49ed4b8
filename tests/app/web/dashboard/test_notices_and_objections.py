"""Clients, notices and objections at the dashboard: debts, suspensions, and objections that match no account."""

import re

import httpx
import pytest

from schema.actor import Role
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, HASH, NOW, fact
from tests.support.gateway import TestGateway

CLIENTS, NOTICES_AND_OBJECTIONS = "/dashboard/clients", "/dashboard/notices-and-objections"


@pytest.fixture
async def permitting(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    objection = {"record": "objection", "id": "lost", "contact": HASH, "scope": "ALL", "channel": "LETTER"}
    objection |= {"received_at": (NOW - 20 * DAY).isoformat(), "observed_at": NOW.isoformat()}
    answer = await gateway.ingest([fact("account"), fact("notice"), fact("content"), objection])
    assert answer["total"]["rejected"] == 0
    return gateway


def sent_by(page: httpx.Response, path: str, name: str) -> str:
    form = page.text.partition(f'action="{path}"')[2].partition("</form>")[0]
    found = re.search(rf'name="{name}" value="([^"]*)"', form)
    assert found is not None, page.text
    return found[1]


async def done(browser: httpx.AsyncClient, path: str, data: dict[str, str]) -> str:
    answer = await browser.post(path, data=data)
    assert answer.status_code == 303, answer.text
    return (await browser.get(answer.headers["location"])).text


async def test_a_client_is_suspended_by_one_officer_and_resumed_by_two(permitting: TestGateway) -> None:
    assert len(await permitting.pull()) == 1
    async with (
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="anna") as anna,
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="bert") as bert,
    ):
        page = await anna.get(CLIENTS)
        assert "1 training client: none with overdue retractions, none suspended." in " ".join(page.text.split())
        wrong = await anna.post(f"{CLIENTS}/suspend", data={"name": "client", "reason": ""})
        assert (wrong.status_code, "reason: must have 1 to " in wrong.text) == (422, True)
        page_text = await done(anna, f"{CLIENTS}/suspend", {"name": "client", "reason": "<i>An inquiry"})
        assert "by anna: &lt;i&gt;An inquiry" in page_text
        assert "PURPOSE" not in (await permitting.post(Role.TRAINING_CLIENT, "{ viewer { role } }")).text
        refused = await permitting.post(Role.TRAINING_CLIENT, "{ trainableContent(first: 1) { nodes { id } } }")
        assert '"nodes":[{' not in refused.text
        assert "until a second officer agrees" in await done(anna, f"{CLIENTS}/resume", {"name": "client"})
        assert "Another officer must agree" in (await anna.get(CLIENTS)).text
        assert "anna asked to resume the client" in (await bert.get(CLIENTS)).text
        assert "receives items again" in await done(bert, f"{CLIENTS}/resume", {"name": "client"})
    assert len(await permitting.pull()) == 1


async def test_what_clients_owe_is_a_csv_file(permitting: TestGateway) -> None:
    await permitting.pull()
    async with dashboard_browser(permitting, Role.AUDITOR) as browser:
        page = await browser.get(CLIENTS)
        assert "The receipts were never verified" in page.text
        assert "<form method" not in page.text.partition("<main")[2]
        answer = await browser.get(CLIENTS, params={"format": "csv"})
        assert re.search(r"\r\nclient,1,1,0,0,0,0,2026-06-01T12:00:00", answer.text), answer.text


async def test_an_objection_that_reaches_nobody_is_matched_and_is_in_force_at_once(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.PRIVACY_OFFICER) as browser:
        page = await browser.get(NOTICES_AND_OBJECTIONS)
        assert "1 matches no account" in page.text
        id = sent_by(page, f"{NOTICES_AND_OBJECTIONS}/match", "id")
        wrong = await browser.post(f"{NOTICES_AND_OBJECTIONS}/match", data={"id": id, "account": "nobody"})
        assert (wrong.status_code, "account: must be a known account" in wrong.text) == (422, True)
        assert 'value="nobody"' in wrong.text
        assert len(await permitting.pull()) == 1
        told = await done(browser, f"{NOTICES_AND_OBJECTIONS}/match", {"id": id, "account": "author"})
        assert "From now on, the objection applies to the account" in told
        assert "all match an account" in told
        assert "in force" in (await browser.get(f"{NOTICES_AND_OBJECTIONS}?objections=all")).text
    assert await permitting.pull() == []


async def test_an_objection_is_set_aside_by_two_officers(permitting: TestGateway) -> None:
    async with (
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="anna") as anna,
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="bert") as bert,
    ):
        id = sent_by(await anna.get(NOTICES_AND_OBJECTIONS), f"{NOTICES_AND_OBJECTIONS}/reject", "id")
        wrong = await anna.post(f"{NOTICES_AND_OBJECTIONS}/reject", data={"id": id, "reason": " "})
        assert wrong.status_code == 422
        told = await done(anna, f"{NOTICES_AND_OBJECTIONS}/reject", {"id": id, "reason": "A question"})
        assert "until a second officer agrees" in told
        assert "Another officer must agree" in told
        again = await anna.post(f"{NOTICES_AND_OBJECTIONS}/reject", data={"id": id})
        assert (again.status_code, "ask another officer" in again.text) == (422, True)
        assert "Agree to reject" in (await bert.get(NOTICES_AND_OBJECTIONS)).text
        assert "is rejected" in await done(bert, f"{NOTICES_AND_OBJECTIONS}/reject", {"id": id})


async def test_an_auditor_sees_objections_and_neither_whom_they_name_nor_a_form(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.AUDITOR) as browser:
        page = (await browser.get(NOTICES_AND_OBJECTIONS)).text
        assert "no matching account" in page
        assert HASH[:16] not in page
        assert "<form method" not in page.partition("<main")[2]
        assert (
            await browser.post(f"{NOTICES_AND_OBJECTIONS}/match", data={"id": "x", "account": "author"})
        ).status_code == 403
        weeks = (await browser.get(f"{NOTICES_AND_OBJECTIONS}?format=csv")).text.splitlines()
        assert weeks[0] == "week from,received"
        assert weeks[-1] == "2026-05-11,1"


async def test_a_long_list_has_pages(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.PRIVACY_OFFICER) as browser:
        for number in range(21):
            query = "mutation M($c: String) { fileObjection(input: {contact: $c}) { reference } }"
            await permitting.ask(Role.PRIVACY_OFFICER, query, {"c": f"n{number}@example.org"})
        page = (await browser.get(NOTICES_AND_OBJECTIONS)).text
        link = re.search(r'<a href="([^"]*)">More objections', page)
        assert link is not None
        second = (await browser.get(link[1].replace("&amp;", "&"))).text
        assert second.count("Match or reject") == 2
        assert "More objections" not in second


async def test_who_received_an_item_and_its_timeline_are_told(permitting: TestGateway) -> None:
    await permitting.pull()
    async with dashboard_browser(permitting, Role.AUDITOR) as browser:
        page = (await browser.get("/dashboard/explain?id=item")).text
        received = page.partition('id="recipients"')[2].partition("</section>")[0]
        assert '<th scope="row">client</th>' in received
        assert page.partition('id="timeline"')[2].count('<td class="instant">') >= 4
