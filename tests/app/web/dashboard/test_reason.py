"""The reason for reading people's data, at the dashboard: asked once per session, and sent with each read."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.auth.sessions import COOKIE
from app.web.dashboard.layout import PAGES, STATE_REASON
from schema.actor import Role
from tests.support.dashboard import dashboard_browser
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.shared_server import SharedServer

EXPLAIN = "/dashboard/explain?id=item"


@pytest.fixture
async def strict_gateway(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway that requires reasons, with an item."""
    async with shared_server.gateway(reason_required=True) as gateway:
        gateway.set_clock(NOW)
        assert (await gateway.ingest([fact("account"), fact("content"), fact("notice")]))["total"]["rejected"] == 0
        yield gateway


def recorded(gateway: TestGateway) -> list[str | None]:
    """Return the reason of each read that is recorded."""
    return [reason for (reason,) in gateway.execute("SELECT reason FROM grounds.staff_read ORDER BY id")]


async def test_the_reason_is_asked_for_once_and_recorded_with_each_read(strict_gateway: TestGateway) -> None:
    async with dashboard_browser(strict_gateway, Role.AUDITOR) as browser:
        answer = await browser.get(EXPLAIN)
        assert answer.status_code == 303
        asked = urlsplit(answer.headers["location"])
        assert (asked.path, parse_qs(asked.query)) == (STATE_REASON, {"next": [EXPLAIN]})
        assert recorded(strict_gateway) == []
        form = await browser.get(answer.headers["location"])
        assert f'name="next" value="{EXPLAIN}"' in form.text
        answer = await browser.post(STATE_REASON, data={"next": EXPLAIN, "reason": " case <17> "})
        assert (answer.status_code, answer.headers["location"]) == (303, EXPLAIN)
        for reason in ("case <17>", "case 18"):
            await browser.post(STATE_REASON, data={"next": EXPLAIN, "reason": reason})
            page = await browser.get(EXPLAIN)
            assert page.status_code == 200
            assert f"Reason: {reason.replace('<', '&lt;').replace('>', '&gt;')} " in page.text
            assert 'href="/dashboard/reason?next=%2Fdashboard%2Fexplain%3Fid%3Ditem"' in page.text
    assert recorded(strict_gateway) == ["case <17>", "case 18"]


async def test_a_page_about_no_person_asks_for_no_reason(strict_gateway: TestGateway) -> None:
    statuses = {}
    async with dashboard_browser(strict_gateway, Role.AUDITOR) as browser:
        for page in PAGES:
            statuses[page.name] = (await browser.get(page.path)).status_code
    asking = {"Notices and objections", "Policies and holds", "Approvals"}
    assert statuses == {page.name: 303 if page.name in asking else 200 for page in PAGES}
    async with dashboard_browser(strict_gateway, Role.DASHBOARD) as browser:
        assert (await browser.get("/dashboard/policies")).status_code == 200
        assert (await browser.get(STATE_REASON)).status_code == 403


async def test_a_change_without_a_reason_is_not_saved_and_says_so(strict_gateway: TestGateway) -> None:
    sent = {"scope": "GLOBAL", "authority": "A", "reason": "B"}
    async with dashboard_browser(strict_gateway, Role.PRIVACY_OFFICER) as browser:
        page = await browser.post("/dashboard/policies/hold", data=sent)
        assert page.status_code == 422
        assert "The change was not saved" in page.text
        assert 'action="/dashboard/policies/hold"' in page.text
        assert 'type="hidden" name="authority" value="A"' in page.text
        assert strict_gateway.execute("SELECT count(*) FROM grounds.hold") == [(0,)]
        await browser.post(STATE_REASON, data={"reason": "case 17"})
        assert (await browser.post("/dashboard/policies/hold", data=sent)).status_code == 303
    assert strict_gateway.execute("SELECT count(*) FROM grounds.hold") == [(1,)]


async def test_a_wrong_reason_is_refused_with_words_and_is_not_kept(strict_gateway: TestGateway) -> None:
    async with dashboard_browser(strict_gateway, Role.AUDITOR) as browser:
        for reason, words in ((" ", "is missing"), ("x" * 201, "one line of at most"), ("a\nb", "one line")):
            answer = await browser.post(STATE_REASON, data={"reason": reason})
            assert (answer.status_code, words in answer.text) == (422, True), reason
        answer = await browser.post(STATE_REASON, data={"reason": "r", "next": "https://elsewhere.example.org"})
        assert answer.headers["location"] == "/dashboard"


async def test_a_reason_that_another_sites_page_sends_is_not_kept(strict_gateway: TestGateway) -> None:
    async with dashboard_browser(strict_gateway, Role.AUDITOR) as browser:
        for headers in ({"Origin": "https://elsewhere.example.org"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await browser.post(STATE_REASON, data={"reason": "r"}, headers=headers)
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


async def test_the_session_stays_the_same_with_the_longest_reason(strict_gateway: TestGateway) -> None:
    longest = "".join(chr(0x20000 + 37 * n) for n in range(200))
    async with dashboard_browser(strict_gateway, Role.AUDITOR, name="a" * 200) as browser:
        before = browser.cookies[COOKIE]
        answer = await browser.post(STATE_REASON, data={"reason": longest})
        assert len(answer.headers["set-cookie"]) < 4000  # what browsers keep
        assert (await browser.get(EXPLAIN)).status_code == 200
        await browser.post("/dashboard/sign-out")
    assert recorded(strict_gateway) == [longest]
    kept = httpx.AsyncClient(base_url=strict_gateway.address, headers={"Cookie": f"{COOKIE}={before}"})
    async with kept as browser:
        assert (await browser.get("/dashboard/conditions")).status_code == 303


async def test_where_no_reason_is_required_none_is_asked_for(gateway: TestGateway) -> None:
    async with dashboard_browser(gateway, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard/policies")
        assert (page.status_code, "Change the reason" in page.text) == (200, False)
