"""Officers search, file letters, issue reading links, approve requests, edit policies, and lose no form."""

import html
import json
import re
from typing import Any

import httpx
import pytest

from app.auth.sessions import COOKIE, cookie_serializer
from app.web import pages
from db.ingest.contacts import contact_hash
from db.policy.document import default_policy
from schema.actor import Role
from schema.oversight import search as search_fields
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, HASH, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.repository import ROOT

ADDRESS = "jane@example.org"
HOME = "/dashboard"


@pytest.fixture
async def platform(gateway: TestGateway) -> TestGateway:
    """A person with two accounts, an item, an objection of another person, a hold and a client."""
    gateway.set_clock(NOW - 60 * DAY)
    objection = {"record": "objection", "id": "letter-1", "contact": HASH, "scope": "ALL", "channel": "LETTER"}
    objection |= {"received_at": (NOW - 90 * DAY).isoformat(), "observed_at": (NOW - 70 * DAY).isoformat()}
    facts = [
        fact("account", person="person-1"),
        fact("account", id="second", person="person-1", product="INSTAGRAM"),
        fact("notice"),
        fact("content"),
        objection,
    ]
    assert (await gateway.ingest(facts))["total"]["rejected"] == 0
    gateway.set_clock(NOW)
    await gateway.pull()
    hold = 'mutation { openHold(scope: COUNTRY, value: "SE", authority: "The authority", reason: "An order") { id } }'
    await gateway.ask(Role.PRIVACY_OFFICER, hold, name="bert")
    return gateway


async def search(browser: httpx.AsyncClient, text: str) -> str:
    answer = await browser.post(f"{HOME}/search", data={"text": text})
    assert answer.status_code == 200, answer.text
    return answer.text


def results(page: str) -> list[tuple[str, str]]:
    """List the results on the Search page: the kind and the link."""
    return re.findall(r'<tr><td>([a-z]+)</td><th scope="row"><a href="([^"]+)"', html.unescape(page))


async def test_an_officer_finds_each_kind_and_each_link_opens(platform: TestGateway) -> None:
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as browser:
        for text, kinds in {
            "author": {"account"},
            "person-1": {"account"},
            "item": {"item"},
            "letter-1": {"objection"},
            HASH: {"objection"},
            "CLIENT": {"client"},
            "se": {"hold"},
            "the auth": {"hold"},
        }.items():
            found = results(await search(browser, text))
            assert {kind for kind, _ in found} == kinds, text
            for _, link in found:
                assert (await browser.get(link)).status_code == 200, link
        assert len(results(await search(browser, "person-1"))) == 2
        assert "Nothing was found" in await search(browser, "nothing at all")
        assert (await browser.post(f"{HOME}/search", data={"text": " "})).status_code == 422


async def test_an_address_is_found_by_its_hash_and_is_in_no_log_and_no_record(
    platform: TestGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    await platform.ingest([fact("account", id="third", contacts=[contact_hash(ADDRESS)])])
    capsys.readouterr()
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as browser:
        ((kind, _),) = results(await search(browser, f" {ADDRESS.upper()} "))
        assert kind == "account"
    async with dashboard_browser(platform, Role.AUDITOR) as browser:
        assert results(await search(browser, ADDRESS)) == []
        assert results(await search(browser, "person-1")) == []
        assert results(await search(browser, HASH)) == []
    logged = "".join(capsys.readouterr())
    assert "route=/dashboard/search" in logged
    recorded = json.dumps(platform.execute("SELECT to_json(r)::text FROM grounds.staff_read r"))
    assert ["search"] in [row[0] for row in platform.execute("SELECT fields FROM grounds.staff_read")]
    assert "jane" not in (logged + recorded).lower()
    template = (ROOT / "app/web/dashboard/templates/search.html").read_text(encoding="utf-8")
    assert 'method="post"' in template
    monkeypatch.setattr(search_fields, "_contact_hashes", lambda text: [text])
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER) as browser:
        found = results(await search(browser, ADDRESS))
    killed("an address that is not hashed", "schema/oversight/search.py", None if found else "nothing was found")


async def test_the_pages_of_an_account_and_a_person_show_what_is_known(platform: TestGateway) -> None:
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as browser:
        ((_, link),) = results(await search(browser, "author"))
        page = (await browser.get(link)).text
        assert "Accounts of the same person" in page
        assert "instagram, active" in page
        assert "✓ permitted" in page
        assert "Campaign 2025-04" in page
        id = re.search(r"<dt>Id</dt><dd><code>([^<]+)</code>", page)
        assert id is not None
        person = (await browser.get(f"{HOME}/person", params={"id": id[1]})).text
        assert "2 accounts are known to belong to this person" in person
        assert "Reads of this account by officers and auditors" in page
        assert "anna, privacy officer" in (await browser.get(link)).text
        answer = await browser.get(f"{HOME}/account", params={"id": "no such"})
        assert (answer.status_code, "No account has this id" in answer.text) == (404, True)
    async with dashboard_browser(platform, Role.AUDITOR) as browser:
        page = (await browser.get(link)).text
        assert "Year of birth" not in page
        assert "Issue a reading link" not in page


async def test_a_reading_link_is_shown_once_opens_and_is_revoked(platform: TestGateway) -> None:
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER) as browser:
        issued = await browser.post(f"{HOME}/account/link", data={"account": "author"})
        found = re.search(r"<code>(http[^<]*/me\?t=[^<]+)</code>", issued.text)
        assert found is not None
        assert (await platform.client.get(html.unescape(found[1]))).status_code == 200
        revoked = await browser.post(f"{HOME}/account/revoke", data={"account": "author"})
        assert "reading link" in revoked.text
        assert "/me?t=" not in (await browser.get(f"{HOME}/account", params={"id": "author"})).text
    assert (await platform.client.get(html.unescape(found[1]))).status_code == 401


async def test_a_letter_is_filed_from_its_arrival_and_what_is_wrong_is_kept(platform: TestGateway) -> None:
    letter = {"identifies": "account", "value": "author", "scope": "ALL", "channel": "LETTER"}
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER) as browser:
        wrong = await browser.post(f"{HOME}/objection", data=letter | {"received": "yesterday"})
        assert (wrong.status_code, "Write it like 2026-05-27T09:30" in wrong.text) == (422, True)
        assert 'value="author"' in wrong.text
        empty = await browser.post(f"{HOME}/objection", data=letter | {"value": ""})
        assert (empty.status_code, "State the address or the id" in empty.text) == (422, True)
        filed = await browser.post(f"{HOME}/objection", data=letter | {"received": f"{NOW - DAY:%Y-%m-%dT%H:%M}"})
        assert filed.status_code == 303, filed.text
        page = await browser.get(filed.headers["location"])
        assert "The objection is filed and in force" in page.text
    assert await platform.pull() == []


async def test_what_waits_for_a_second_officer_is_in_one_list(platform: TestGateway) -> None:
    document = json.dumps(json.loads(default_policy().document()) | {"version": "next", "regions": ["DE"]})
    async with (
        dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as anna,
        dashboard_browser(platform, Role.PRIVACY_OFFICER, name="bert") as bert,
    ):
        assert "No request waits" in (await anna.get(f"{HOME}/approvals")).text
        holds = await platform.ask(Role.PRIVACY_OFFICER, "{ holds(first: 1) { nodes { id } } }")
        await anna.post(f"{HOME}/policies/lift", data={"id": holds["holds"]["nodes"][0]["id"]})
        await anna.post(f"{HOME}/policies/propose", data={"document": document})
        await anna.post(f"{HOME}/clients/suspend", data={"name": "client", "reason": "An inquiry"})
        await anna.post(f"{HOME}/clients/resume", data={"name": "client"})
        lost = await platform.ask(Role.PRIVACY_OFFICER, "{ unmatchedObjections(first: 1) { nodes { id } } }")
        reject = {"id": lost["unmatchedObjections"]["nodes"][0]["id"], "reason": "An advertisement"}
        await anna.post(f"{HOME}/notices-and-objections/reject", data=reject)
        own = (await anna.get(f"{HOME}/approvals")).text
        assert "4 requests wait for a second officer; you can decide none of them" in own
        other = (await bert.get(f"{HOME}/approvals")).text
        assert "you can decide 4 of them" in other
        links = re.findall(r'<th scope="row"><a href="([^"]+)"', html.unescape(other))
        assert len(links) == 4
        for link in links:
            assert (await bert.get(link)).status_code == 200
        review = (await bert.get(f"{HOME}/policies/simulation", params={"version": "next"})).text
        assert "Countries: removes AT, BE" in review
        assert 'action="/dashboard/policies/approve"' in review


async def test_a_policy_is_edited_in_a_form_and_reviewed_in_words(platform: TestGateway) -> None:
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as browser:
        form = (await browser.get(f"{HOME}/policies/edit")).text
        fields = {
            name: html.unescape(value)
            for name, value in re.findall(r'name="([\w.]+)"[^>]*? value="([^"]*)"', form.partition("/review")[2])
        }
        assert fields["notice.period_days"] == "30"
        changed = {**fields, "version": "2026-06-01", "notice.period_days": "45", "regions": "AT, DE"}
        reviewed = (await browser.post(f"{HOME}/policies/edit/review", data=changed)).text
        assert "Notice period, in days: from 30 to 45." in reviewed
        assert "Countries: removes " in reviewed
        proposed = re.search(r"<textarea id=\"document\"[^>]*>([^<]*)</textarea>", reviewed)
        assert proposed is not None
        document = html.unescape(proposed[1])
        assert json.loads(document)["controller"] == json.loads(default_policy().document())["controller"]
        answer = await browser.post(f"{HOME}/policies/propose", data={"document": document})
        assert answer.status_code == 303, answer.text
        wrong = await browser.post(f"{HOME}/policies/edit/review", data=changed | {"notice.period_days": "many"})
        assert "notice.period_days" in wrong.text
        assert 'role="alert"' in wrong.text


async def test_a_form_that_is_sent_after_the_session_ended_is_kept(
    platform: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    hold: dict[str, Any] = {"scope": "COUNTRY", "value": "IE", "authority": "The <authority>", "reason": "An order"}
    async with dashboard_browser(platform, Role.PRIVACY_OFFICER, name="anna") as browser:
        token = platform.token(Role.PRIVACY_OFFICER, name="anna")
        ended = expired_cookie()
        browser.cookies.clear()
        browser.cookies.set(COOKIE, ended, path=HOME)
        kept = await browser.post(f"{HOME}/policies/hold", data=hold)
        assert kept.status_code == 401
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', kept.text))
        assert {name: html.unescape(value) for name, value in fields.items()} == hold
        browser.cookies.clear()
        await browser.post(f"{HOME}/sign-in", data={"token": token})
        answer = await browser.post(f"{HOME}/policies/hold", data=hold)
        assert answer.status_code == 303
        browser.cookies.clear()
        browser.cookies.set(COOKIE, ended, path=HOME)
        from_elsewhere = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
        foreign = await browser.post(f"{HOME}/policies/hold", data=hold, headers=from_elsewhere)
        assert foreign.status_code == 303
        monkeypatch.setattr(pages, "is_from_own_page", lambda *_: True)
        foreign = await browser.post(f"{HOME}/policies/hold", data=hold, headers=from_elsewhere)
        shown = "a form of another site" if foreign.status_code == 401 else None
        killed("forms of other sites kept", "app/web/pages.py", shown)


def expired_cookie() -> str:
    """Sign the cookie of a session whose token has expired."""
    content = {"id": "an id", "name": "anna", "role": "PRIVACY_OFFICER", "expires": 0.0}
    return cookie_serializer(SECRET, "session").dumps(content)
