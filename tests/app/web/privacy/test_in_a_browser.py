"""The pages in a real browser: by keyboard, without JavaScript, on a phone, for a screen reader, in each language.

Screenshots are kept where GROUNDS_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.auth.signed_links import LinkAction, sign_link
from app.web.privacy.my_data import COOKIE
from app.web.privacy.rendering import languages_offered, texts_of
from db.ingest.contacts import contact_hash
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway

# Only `./run --with browser` installs playwright; the ordinary run imports this module to deselect its tests.
if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium")

QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
NOTHING_OF_ITS_OWN = ("--disable-component-update", "--disable-sync")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
FOCUSED = "document.activeElement.id || document.activeElement.tagName"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SCREENSHOTS = os.environ.get("GROUNDS_SCREENSHOTS")


@pytest.fixture
async def subject_gateway(gateway: TestGateway) -> TestGateway:
    """Somebody with items of several kinds, some of them delivered, who objected to a part."""
    gateway.set_clock(NOW)
    kinds = ("POST", "PHOTO", "AI_INTERACTION", "PRIVATE_MESSAGE")
    items = [
        fact("content", id=f"i{n}", kind=kinds[n % 4], audience="FRIENDS" if n % 3 == 0 else "PUBLIC")
        for n in range(24)
    ]
    account = fact("account", contacts=[contact_hash("anna@example.org")])
    objection = fact("objection", account="author", scope="AI_INTERACTIONS")
    answer = await gateway.ingest([account, *items, fact("notice"), objection])
    assert answer["total"]["rejected"] == 0
    await gateway.pull(first=7)
    await gateway.take_coverage()
    return gateway


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    if CHROMIUM is None:
        pytest.fail("No Chromium on the PATH: apt-get install chromium.")
    # The tests may run as root, and the pages are our own: Chromium's own sandbox is left out.
    flags = ["--headless", "--no-sandbox", *QUIET, *NOTHING_OF_ITS_OWN]
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        await opened.close()


@asynccontextmanager
async def opened(
    browser: Browser, gateway: TestGateway, *, cookie: str | None = None, **settings: Any
) -> AsyncIterator[Page]:
    """Open a page that may ask the gateway alone, complain of nothing, and keep no cookie but the one named."""
    context = await browser.new_context(base_url=gateway.address, **settings)
    page = await context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert [text for text in complaints if "status of 4" not in text] == []
    assert [url for url in asked if not url.startswith((gateway.address, "data:"))] == []
    assert {each.get("name") for each in await context.cookies()} <= {cookie}
    await context.close()


async def faults(page: Page) -> list[str]:
    """Name what axe-core finds."""
    from axe_playwright_python.async_playwright import Axe

    found = (await Axe().run(page)).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


async def look(page: Page, name: str) -> None:
    """Check that a page is accessible and no wider than its window; keep a picture of it if asked to."""
    assert await faults(page) == [], name
    assert await page.evaluate(OVERFLOW) <= 0, name
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


def link(purpose: LinkAction) -> str:
    return sign_link(SECRET, "author", purpose, NOW + DAY)


@pytest.mark.parametrize("settings", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_somebody_objects_by_keyboard_alone_without_javascript(
    subject_gateway: TestGateway, browser: Browser, settings: dict[str, Any]
) -> None:
    async with opened(browser, subject_gateway, java_script_enabled=False, locale="fr-FR", **settings) as page:
        said = texts_of("fr")
        await page.goto("/object")
        places = []
        for _ in range(4):
            await page.keyboard.press("Tab")
            places.append(await page.evaluate(FOCUSED))
        assert places == ["A", "A", "SUMMARY", "who"], "the languages are folded up"
        await page.keyboard.type("Anna@example.org")
        await page.keyboard.press("Tab")
        assert await page.evaluate(FOCUSED) == "scope-ALL"
        await page.keyboard.press("ArrowDown")
        assert await page.evaluate(FOCUSED) == "scope-PUBLIC_CONTENT"
        await page.keyboard.press("Tab")
        assert await page.evaluate(FOCUSED) == "BUTTON"
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/object/receipt?**")
        assert (await page.title()).startswith(said["answer"]["title"])
        assert await page.get_by_text(said["words"]["PUBLIC_CONTENT"], exact=True).is_visible()
    assert await subject_gateway.pull() == []


async def test_a_mistake_is_said_where_it_is_and_to_a_screen_reader(
    subject_gateway: TestGateway, browser: Browser
) -> None:
    async with opened(browser, subject_gateway, java_script_enabled=False, locale="en-GB", **PHONE) as page:
        said = texts_of("en")
        await page.goto("/object")
        await page.get_by_role("button", name=said["object"]["button"]).click()
        assert await page.get_by_role("alert").get_by_text(said["errors"]["who_missing"]).is_visible()
        field = page.get_by_role("textbox", name=said["object"]["who"])
        assert await field.get_attribute("aria-invalid") == "true"
        assert "error" in (await field.get_attribute("aria-describedby") or "").split()
        await field.fill("anna@example")
        await page.get_by_label(said["object"]["AI_INTERACTIONS"]).check()
        await page.get_by_role("button", name=said["object"]["button"]).click()
        assert await page.get_by_role("alert").get_by_text(said["errors"]["who_email"]).is_visible()
        assert await field.input_value() == "anna@example"
        assert await page.get_by_label(said["object"]["AI_INTERACTIONS"]).is_checked()
        await field.fill("anna@example.org")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/object/receipt?**")


async def test_somebody_goes_from_their_data_to_an_objection_and_changes_the_language_on_the_way(
    subject_gateway: TestGateway, browser: Browser
) -> None:
    async with opened(
        browser, subject_gateway, cookie=COOKIE, java_script_enabled=False, locale="en-GB", **PHONE
    ) as page:
        await page.goto(f"/me?t={await subject_gateway.reading_token()}")
        await page.locator(".languages summary").click()
        await page.get_by_role("link", name="Italiano").click()
        said = texts_of("it")
        assert await page.get_by_role("heading", name=said["me"]["title"]).is_visible()
        await page.get_by_text(said["me"]["checked"]).first.click()
        held = said["conditions"]["PROGRAMME_ACTIVE"]["PASS"]
        assert await page.get_by_text(held).first.is_visible()
        await page.get_by_role("link", name=said["me"]["next"]).click()
        await page.get_by_role("link", name=said["me"]["object"], exact=True).click()
        assert await page.get_by_role("textbox").count() == 0
        await page.get_by_role("button", name=said["object"]["button"]).click()
        await page.wait_for_url("**/object/receipt?**")
        async with page.expect_download() as download:
            await page.get_by_role("link", name=said["answer"]["json"]).click()
        assert (await download.value).suggested_filename.startswith("filed-")
    assert await subject_gateway.pull() == []


@pytest.mark.parametrize("language", languages_offered())
async def test_axe_finds_nothing_on_any_page(subject_gateway: TestGateway, browser: Browser, language: str) -> None:
    pages = {
        "object": f"/object?lang={language}",
        "linked": f"/object?t={link(LinkAction.OBJECT)}&lang={language}",
        "me": f"/me?t={await subject_gateway.reading_token()}&lang={language}",
        "no-link": f"/me?lang={language}",
        "public": f"/?lang={language}",
        "information": f"/information?lang={language}",
    }
    for device, settings in {"desktop": DESKTOP, "phone": PHONE}.items():
        pages["me"] = f"/me?t={await subject_gateway.reading_token()}&lang={language}"  # each opens in one browser
        async with opened(browser, subject_gateway, cookie=COOKIE, **settings) as page:
            for name, address in pages.items():
                await page.goto(address)
                await look(page, f"{device}-{language}-{name}")
            await page.goto(pages["object"])
            await page.get_by_role("button").click()
            await look(page, f"{device}-{language}-mistake")
            await page.get_by_role("textbox").fill("nobody")
            await page.get_by_role("button").click()
            await page.wait_for_url("**/object/receipt?**")
            await look(page, f"{device}-{language}-answer")


async def test_a_page_without_labels_or_contrast_would_be_noticed(
    subject_gateway: TestGateway, browser: Browser
) -> None:
    async with opened(browser, subject_gateway, **DESKTOP) as page:
        await page.goto("/object?lang=en")
        await page.evaluate("document.querySelector('label[for=who]').remove()")
        await page.evaluate("document.querySelector('#who-hint').style.color = '#ccc'")
        found = await faults(page)
        assert {fault.partition(":")[0] for fault in found} >= {"label", "color-contrast"}
