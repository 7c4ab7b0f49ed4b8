"""The dashboard in a real browser: without JavaScript, by keyboard, on a phone, light and dark, for a screen reader.

Screenshots are kept where GROUNDS_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.auth.sessions import COOKIE, cookie_serializer
from app.web.dashboard.layout import PAGES
from db.policy.document import default_policy
from schema.actor import Role
from tests.app.web.privacy.test_in_a_browser import DESKTOP, FOCUSED, OVERFLOW, faults
from tests.app.web.privacy.test_in_a_browser import browser as browser  # a fixture, found here by name
from tests.app.web.privacy.test_in_a_browser import opened as opened_page
from tests.support.facts import DAY, HASH, NOW, fact
from tests.support.gateway import SECRET, TestGateway

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WINDOWS = {
    f"{device}-{scheme}": settings | {"color_scheme": scheme}
    for device, settings in {"desktop": DESKTOP, "phone": PHONE}.items()
    for scheme in ("light", "dark")
}
SCREENSHOTS = os.environ.get("GROUNDS_SCREENSHOTS")
QUESTION = "?id=p1&day=2026-05-20"
BESIDE = {
    "account": "/dashboard/account?id=author",
    "person": "/dashboard/person?id=author",
    "file an objection": "/dashboard/objection?account=author",
    "edit the policy": "/dashboard/policies/edit",
    "report": "/dashboard/report?from=2026-01-01&to=2026-12-31",
}
"""The pages that the navigation does not list."""


@pytest.fixture
async def busy(gateway: TestGateway) -> TestGateway:
    """A platform with something on every page."""
    gateway.set_clock(NOW - DAY)
    kinds = ("POST", "PHOTO", "AI_INTERACTION", "PRIVATE_MESSAGE")
    items = [
        fact("content", id=f"p{n}", kind=kinds[n % 4], audience="FRIENDS" if n % 5 == 0 else "PUBLIC")
        for n in range(60)
    ]
    objection = {"record": "objection", "id": "lost", "contact": HASH, "scope": "ALL", "channel": "LETTER"}
    objection |= {"received_at": (NOW - 20 * DAY).isoformat(), "observed_at": (NOW - 2 * DAY).isoformat()}
    answer = await gateway.ingest([fact("account"), fact("notice"), *items, objection])
    assert answer["total"]["rejected"] == 0
    await gateway.pull()
    await gateway.take_coverage()
    gateway.set_clock(NOW)
    await gateway.take_coverage()
    document = json.dumps(json.loads(default_policy().document()) | {"version": "next", "regions": ["DE", "CH"]})
    propose = "mutation P($d: String!) { proposePolicy(document: $d) { proposedBy } }"
    await gateway.ask(Role.PRIVACY_OFFICER, propose, {"d": document}, name="bert")
    hold = 'mutation { openHold(scope: COUNTRY, value: "SE", authority: "The authority", reason: "An order") { id } }'
    await gateway.ask(Role.PRIVACY_OFFICER, hold, name="bert")
    return gateway


opened = partial(opened_page, cookie=COOKIE)


async def sign_in(page: Page, gateway: TestGateway, role: Role = Role.PRIVACY_OFFICER) -> None:
    await page.goto("/dashboard")
    await page.get_by_label("Token").fill(gateway.token(role, name="anna"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/dashboard")


async def look(page: Page, name: str) -> None:
    """Check that a page is accessible and no wider than its window; keep a picture of it if asked to."""
    assert await faults(page) == [], name
    assert await page.evaluate(OVERFLOW) <= 0, name
    if SCREENSHOTS:
        is_whole = "API reference" not in name  # that page is too long for a picture
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=is_whole)


@pytest.mark.parametrize("window", WINDOWS)
async def test_axe_finds_nothing_on_any_page(busy: TestGateway, browser: Browser, window: str) -> None:
    async with opened(browser, busy, **WINDOWS[window]) as page:
        await page.goto("/dashboard")
        await look(page, f"{window}-sign-in")
        await sign_in(page, busy)
        for each in PAGES:
            address = each.path + (QUESTION if each.name == "Explain" else "")
            answer = await page.goto(address)
            assert answer is not None
            assert answer.status == 200, each.name
            await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            await look(page, f"{window}-{each.name}")
        await page.goto("/dashboard/policies/simulation?version=next")
        await look(page, f"{window}-simulation")
        await page.goto("/dashboard/explain?id=nothing")
        await look(page, f"{window}-mistake")
        for name, address in BESIDE.items():
            answer = await page.goto(address)
            assert answer is not None
            assert answer.status == 200, name
            await look(page, f"{window}-{name}")


async def test_a_dashboards_pages_are_accessible_and_closed_ones_say_so(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, **DESKTOP) as page:
        await sign_in(page, busy, Role.DASHBOARD)
        for each in PAGES:
            await page.goto(each.path)
            assert await page.get_by_role("alert").count() == (Role.DASHBOARD not in each.readers)
            await look(page, f"dashboard-{each.name}")


async def test_an_officer_works_by_keyboard_alone_without_javascript(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, java_script_enabled=False, **DESKTOP) as page:
        await page.goto("/dashboard/policies")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        assert await page.evaluate(FOCUSED) == "token"
        await page.keyboard.type(busy.token(Role.PRIVACY_OFFICER, name="anna"))
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/policies")
        await page.keyboard.press("Tab")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        assert page.url.endswith("#content")
        await tab_to(page, "Ask to lift")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/policies?done=lift-asked#holds")
        assert await page.get_by_role("status").get_by_text("until a second officer agrees").is_visible()
        await tab_to(page, "Review and approve")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/policies/simulation?version=next")
        await tab_to(page, "Approve")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/policies?done=approved#versions")


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is named has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if name in await page.evaluate(
            "document.activeElement.matches('button, a') ? document.activeElement.innerText : ''"
        ):
            return
    raise AssertionError(f"no Tab leads to {name}")


async def test_every_page_works_without_javascript(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, java_script_enabled=False, **PHONE) as page:
        await sign_in(page, busy, Role.AUDITOR)
        for each in PAGES:
            await page.get_by_role("link", name=each.name, exact=True).click()
            assert await page.get_by_role("link", name=each.name, exact=True).get_attribute("aria-current") == "page"
        await page.get_by_role("link", name="Explain", exact=True).click()
        await page.get_by_label("Item", exact=True).fill("p1")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="p1 is permitted.").wait_for()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download as CSV").first.click()
        assert (await download.value).suggested_filename == "conditions.csv"
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/dashboard/sign-in")


async def test_the_result_of_a_simulation_takes_the_place_of_its_progress(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, java_script_enabled=False, **DESKTOP) as page:
        await sign_in(page, busy)
        await page.get_by_role("link", name="Policies and holds").click()
        await page.get_by_role("link", name="Review and approve next").click()
        await page.get_by_text("0 items would become permitted").wait_for()
        assert not await page.get_by_text("The gateway decides about every item under both policies").is_visible()


async def test_an_expired_session_leads_back_to_its_page(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, **DESKTOP) as page:
        said = {"id": "s", "name": "anna", "role": "AUDITOR", "expires": time.time() - 1}
        cookie = str(cookie_serializer(SECRET, "session").dumps(said))
        await page.context.add_cookies([{"name": COOKIE, "value": cookie, "domain": "127.0.0.1", "path": "/dashboard"}])
        await page.goto("/dashboard/representation")
        assert await page.get_by_role("alert").get_by_text("Your session has ended").is_visible()
        await page.get_by_label("Token").fill(busy.token(Role.AUDITOR))
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/representation")


async def test_a_role_that_the_dashboard_is_not_for_is_told_so(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, **DESKTOP) as page:
        await page.goto("/dashboard")
        await page.get_by_label("Token").fill(busy.token(Role.TRAINING_CLIENT))
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="This role has no access to the dashboard").wait_for()
        await look(page, "refused")


async def test_a_link_on_another_sites_page_leads_in(busy: TestGateway, browser: Browser) -> None:
    other = busy.address.replace("127.0.0.1", "localhost")
    async with opened(browser, busy, **DESKTOP) as page:
        await sign_in(page, busy)
        context = page.context
        elsewhere = await context.new_page()
        await elsewhere.goto(f"{other}/object")
        await elsewhere.evaluate(f"location.href = '{busy.address}/dashboard/representation'")
        await elsewhere.get_by_role("heading", level=1).wait_for()
        await elsewhere.wait_for_url(f"{busy.address}/dashboard/representation")
        assert await elsewhere.get_by_role("link", name="Representation").get_attribute("aria-current") == "page"


async def test_a_phone_shows_every_bar_of_a_chart_and_a_desktop_the_columns(
    busy: TestGateway, browser: Browser
) -> None:
    for window, shown, hidden in ((PHONE, ".bar-rows", ".bar-columns"), (DESKTOP, ".bar-columns", ".bar-rows")):
        async with opened(browser, busy, **window) as page:
            await sign_in(page, busy)
            assert await page.locator(shown).is_visible()
            assert not await page.locator(hidden).is_visible()
            bars = page.locator(f"{shown} rect:not(.track)")
            assert await bars.count() > 2
            for place in range(await bars.count()):
                box = await bars.nth(place).bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= window["viewport"]["width"]


async def test_nothing_is_cut_at_twice_the_text_size(busy: TestGateway, browser: Browser) -> None:
    async with opened(browser, busy, **DESKTOP) as page:
        await sign_in(page, busy)
        for address in [*(each.path for each in PAGES), *BESIDE.values()]:
            await page.goto(address)
            await page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert await page.evaluate(OVERFLOW) <= 0, address
