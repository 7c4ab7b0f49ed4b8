"""Policies and holds at the dashboard: two officers, what was typed wrong, and a simulation before approval."""

import json
import re
from typing import Any

import httpx
import pytest

from app.web.dashboard.policies import ListedVersion
from app.web.dashboard.policies import _setting_differences as differences
from db.policy.document import default_policy
from schema.actor import Role
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

PAGE = "/dashboard/policies"
HOLD = {"scope": "COUNTRY", "value": "IE", "authority": "The authority", "reason": "<b>An order</b>"}


@pytest.fixture
async def permitting(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    gateway.set_clock(NOW)
    return gateway


def document(version: str = "2026-06-01", **changed: Any) -> str:
    stated = json.loads(default_policy().document()) | {"version": version} | changed
    return json.dumps(stated)


def hidden(page: httpx.Response, path: str, name: str) -> str:
    """Read what a form of the page would send."""
    form = page.text.partition(f'action="{PAGE}/{path}"')[2].partition("</form>")[0]
    found = re.search(rf'name="{name}" value="([^"]*)"', form)
    assert found is not None, form
    return found[1]


async def submit_form(browser: httpx.AsyncClient, path: str, data: dict[str, str]) -> httpx.Response:
    """Send a form that has to succeed, and follow it."""
    answer = await browser.post(f"{PAGE}/{path}", data=data)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def test_a_hold_is_opened_by_one_officer_and_lifted_by_two(permitting: TestGateway) -> None:
    async with (
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="anna") as anna,
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="bert") as bert,
    ):
        opened = await submit_form(anna, "hold", HOLD)
        assert "The hold is open" in opened.text
        assert "1 hold is in force" in opened.text
        assert "&lt;b&gt;An order" in opened.text
        assert await permitting.pull() == []
        asked = await submit_form(anna, "lift", {"id": hidden(opened, "lift", "id")})
        assert "stays in force until a second officer agrees" in asked.text
        assert "Another officer must agree" in asked.text
        other = await bert.get(PAGE)
        lifted = await submit_form(bert, "lift", {"id": hidden(other, "lift", "id")})
        assert "The hold is lifted" in lifted.text
        permitting.set_clock(NOW + DAY)
        assert "no hold is in force" in (await bert.get(PAGE)).text
        assert "The authority" in (await bert.get(f"{PAGE}?holds=all")).text
    assert len(await permitting.pull()) == 2


async def test_an_officer_who_lifts_a_hold_twice_is_told_that_it_takes_two(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.PRIVACY_OFFICER) as browser:
        id = hidden(await submit_form(browser, "hold", HOLD), "lift", "id")
        await submit_form(browser, "lift", {"id": id})
        answer = await browser.post(f"{PAGE}/lift", data={"id": id})
        assert (answer.status_code, "ask another officer to lift the hold" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": ""}, "value: is missing"),
        ({"value": "Ireland"}, "value: must be a country"),
        ({"reason": ""}, "reason: must have 1 to "),
        ({"scope": "GLOBAL"}, "value: must be null for a GLOBAL hold"),
        ({"scope": "NONSENSE"}, "HoldScope"),
    ],
)
async def test_what_was_typed_wrong_is_said_and_kept(
    permitting: TestGateway, changed: dict[str, str], said: str
) -> None:
    async with dashboard_browser(permitting, Role.PRIVACY_OFFICER) as browser:
        answer = await browser.post(f"{PAGE}/hold", data=HOLD | changed)
        assert (answer.status_code, said in answer.text) == (422, True), answer.text
        assert 'value="The authority"' in answer.text
    assert len(await permitting.pull()) == 2


async def test_a_policy_is_proposed_simulated_and_approved_by_two_officers(permitting: TestGateway) -> None:
    narrower = document(regions=["DE", "FR", "<i>"]).replace('"<i>"', '"AT"')
    async with (
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="anna") as anna,
        dashboard_browser(permitting, Role.PRIVACY_OFFICER, name="bert") as bert,
    ):
        simulated = await anna.post(f"{PAGE}/simulation", data={"document": narrower})
        assert "0 items would become permitted and 2 would no longer be permitted" in simulated.text
        proposed = await submit_form(anna, "propose", {"document": narrower})
        assert "1 proposal waits for a second officer" in proposed.text
        assert f'action="{PAGE}/approve"' not in proposed.text
        answer = await anna.post(f"{PAGE}/approve", data={"version": "2026-06-01"})
        assert (answer.status_code, "ask another officer" in answer.text) == (422, True)
        assert "Review and approve" in (await bert.get(PAGE)).text
        simulated = await bert.get(f"{PAGE}/simulation", params={"version": "2026-06-01"})
        assert hidden(simulated, "approve", "version") == "2026-06-01"
        assert "0 items would become permitted and 2 would no longer be permitted" in simulated.text
        assert 'class="working"' in simulated.text
        approved = await submit_form(bert, "approve", {"version": "2026-06-01"})
        assert "The policy is approved" in approved.text
    assert {permitted for permitted, *_ in (await permitting.decisions()).values()} == {False}


@pytest.mark.parametrize("wrong", ["", "{", "[]", document(regions=[]), "\x00"])
@pytest.mark.parametrize("path", ["propose", "simulation"])
async def test_a_wrong_document_is_refused_and_kept_for_mending(permitting: TestGateway, wrong: str, path: str) -> None:
    async with dashboard_browser(permitting, Role.PRIVACY_OFFICER) as browser:
        answer = await browser.post(f"{PAGE}/{path}", data={"document": wrong})
        assert answer.status_code == (422 if path == "propose" else 200)
        assert 'role="alert"' in answer.text
        assert "document: " in answer.text


async def test_a_simulation_of_nothing_that_was_proposed_is_not_found(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.AUDITOR) as browser:
        answer = await browser.get(f"{PAGE}/simulation", params={"version": "none"})
        assert (answer.status_code, "There is no policy version none" in answer.text) == (404, True)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.DASHBOARD])
async def test_those_who_only_watch_see_no_form_and_can_do_nothing(permitting: TestGateway, role: Role) -> None:
    async with dashboard_browser(permitting, role) as browser:
        page = (await browser.get(PAGE)).text
        assert re.findall(r'method="post" action="([^"]*)"', page) == ["/dashboard/sign-out"]
        for path, data in (("hold", HOLD), ("propose", {"document": document()}), ("approve", {"version": "x"})):
            assert (await browser.post(f"{PAGE}/{path}", data=data)).status_code == 403
    assert len(await permitting.pull()) == 2


def test_two_versions_are_compared_setting_by_setting() -> None:
    before = ListedVersion({"version": "a", "document": '{"dwell": {"days": 7}, "regions": ["DE", "FR"]}'}, "IN_FORCE")
    after = ListedVersion(
        {"version": "b", "document": '{"dwell": {"days": 8}, "regions": ["FR", "IE"], "x": null}'}, "PROPOSED"
    )
    found = {each.setting: each for each in differences(before, after)}
    assert (found["dwell.days"].left, found["dwell.days"].right) == ("7", "8")
    assert (found["regions"].removed, found["regions"].added) == (["DE"], ["IE"])
    assert (found["x"].left, found["x"].right, found["x"].changed) == ("", "none", True)


async def test_the_settings_are_a_csv_file(permitting: TestGateway) -> None:
    async with dashboard_browser(permitting, Role.DASHBOARD) as browser:
        answer = await browser.get(PAGE, params={"format": "csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert "notice.period_days,30,30" in answer.text
        assert (await browser.get(PAGE, params={"format": "csv", "table": "none"})).status_code == 404
