"""Sign-in at the dashboard: which roles may, what is refused, and what the pages are read with."""

import asyncio
import csv
import io
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.auth import sign_in_codes
from app.auth.sessions import COOKIE, cookie_serializer
from app.auth.sign_in_codes import issue_code
from app.web.dashboard.layout import PAGES, SIGN_IN, local_page
from app.web.dashboard.sign_in import ATTEMPTS_PER_MINUTE
from app.web.pages import Page, load_operations
from app.web.tables import Table, csv_response
from grounds_client.documents import document_id
from schema.actor import Actor, Role
from tests.app.http.test_persisted_documents import manifest
from tests.support.dashboard import dashboard_browser
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.mutants import Killed
from tests.support.retractions import alter
from tests.support.shared_server import SharedServer

WATCHING = (Role.DASHBOARD, Role.PRIVACY_OFFICER, Role.AUDITOR)
OTHERS = {
    Role.TRAINING_CLIENT: {},
    Role.DATA_SUBJECT: {"subject": "author"},
    Role.PLATFORM_INGEST: {},
}


@pytest.fixture
async def watched(gateway: TestGateway) -> TestGateway:
    """One item that is permitted."""
    gateway.set_clock(NOW)
    answer = await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    assert answer["total"]["rejected"] == 0
    return gateway


def sealed(**said: Any) -> str:
    """Write a cookie as the gateway does."""
    known = {"id": "s", "name": "anna", "role": "PRIVACY_OFFICER", "expires": time.time() + 60}
    return str(cookie_serializer(SECRET, "session").dumps(known | said))


@pytest.mark.parametrize("role", WATCHING)
async def test_a_token_signs_its_bearer_in_and_lies_in_no_cookie(watched: TestGateway, role: Role) -> None:
    token = watched.token(role, name="anna")
    async with dashboard_browser(watched, None) as browser:
        answer = await browser.post(SIGN_IN, data={"token": f" {token}\n", "next": "/dashboard/conditions?a=b"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/conditions?a=b")
        cookie = answer.headers["set-cookie"]
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert attributes == {"httponly", "path=/dashboard", "samesite=strict"}
        assert not any(part in cookie for part in token.split("."))
        page = await browser.get("/dashboard/conditions")
        assert (page.status_code, "anna" in page.text) == (200, True)


async def test_the_cookie_is_secure_where_people_come_by_https(shared_server: SharedServer) -> None:
    async with shared_server.gateway(public_url="https://grounds.example.org") as gateway:
        async with dashboard_browser(gateway, None) as browser:
            answer = await browser.post(SIGN_IN, data={"token": gateway.token(Role.AUDITOR)})
        assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("role", OTHERS)
async def test_another_role_is_told_that_the_dashboard_is_not_for_it(watched: TestGateway, role: Role) -> None:
    async with dashboard_browser(watched, None) as browser:
        answer = await browser.post(SIGN_IN, data={"token": watched.token(role, **OTHERS[role])})
        assert answer.status_code == 403
        assert f"{role} may not use the dashboard" in answer.text
        assert "set-cookie" not in answer.headers
        assert (await browser.get("/dashboard/conditions")).status_code == 303


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"token": ""}, 422, "The token is missing"),
        ({"token": "nonsense"}, 401, "exactly one signed JSON Web Token"),
        ({"token": "a.b.c"}, 401, "the token is malformed"),
        ({"token": "x" * 20_000}, 413, "the body is longer"),
    ],
)
async def test_a_wrong_token_signs_nobody_in(
    watched: TestGateway, sent: dict[str, str], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with dashboard_browser(watched, None) as browser:
        answer = await browser.post(SIGN_IN, data=sent)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert "set-cookie" not in answer.headers
    if sent["token"]:
        assert sent["token"] not in answer.text
        assert sent["token"] not in "".join(capfd.readouterr())


async def test_signing_in_and_failing_log_nothing(
    watched: TestGateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    token = watched.token(Role.PRIVACY_OFFICER, name="a-name-of-somebody")
    with caplog.at_level(logging.DEBUG, logger="app"):
        async with dashboard_browser(watched, None) as browser:
            await browser.post(SIGN_IN, data={"token": token})
            await browser.get("/dashboard/explain", params={"id": "an-id-of-an-item"})
    logged = caplog.text + "".join(capfd.readouterr())
    assert not any(secret in logged for secret in (token, "a-name-of-somebody", "an-id-of-an-item"))


async def test_too_many_attempts_are_held_off_for_a_minute(watched: TestGateway) -> None:
    async with dashboard_browser(watched, None) as browser:
        first = await browser.post(SIGN_IN, data={"token": "a.b.c"})
        # At once, for on a slow machine others are allowed meanwhile.
        more = (browser.post(SIGN_IN, data={"token": "a.b.c"}) for _ in range(2 * ATTEMPTS_PER_MINUTE))
        refused = [answer for answer in await asyncio.gather(*more) if answer.status_code == 429]
    assert (first.status_code, {answer.headers["retry-after"] for answer in refused}) == (401, {"60"})


async def test_a_session_that_is_over_says_so_and_leads_back_to_the_page(watched: TestGateway) -> None:
    async with dashboard_browser(watched, None) as browser:
        browser.cookies.set(COOKIE, sealed(expires=time.time() - 1))
        answer = await browser.get("/dashboard/explain?id=item")
        assert answer.status_code == 303
        page = await browser.get(answer.headers["location"])
        assert "Your session has ended" in page.text
        assert 'value="/dashboard/explain?id=item"' in page.text
        answer = await browser.post(
            SIGN_IN, data={"token": watched.token(Role.AUDITOR), "next": "/dashboard/explain?id=item"}
        )
        assert answer.headers["location"] == "/dashboard/explain?id=item"


async def test_a_session_ends_with_its_token(watched: TestGateway) -> None:
    async with dashboard_browser(watched, Role.AUDITOR, lifetime_seconds=2) as browser:
        assert (await browser.get("/dashboard/conditions")).status_code == 200
        time.sleep(2.1)  # noqa: ASYNC251 - a token lives by the clock of the world
        assert (await browser.get("/dashboard/conditions")).status_code == 303


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "nonsense",
        sealed()[:-2],
        sealed().replace(".", "..", 1),
        "x" * 10_000,
        str(cookie_serializer(SECRET, "session").dumps({"name": "a", "role": "AUDITOR", "expires": 9e9})),
        str(cookie_serializer(b"another secret", "session").dumps({"name": "a", "role": "AUDITOR", "expires": 9e9})),
        str(cookie_serializer(SECRET, "openid").dumps({"name": "a", "role": "AUDITOR", "expires": 9e9})),
    ],
)
async def test_a_cookie_that_is_not_ours_is_nobodys(watched: TestGateway, cookie: str) -> None:
    async with dashboard_browser(watched, None) as browser:
        browser.cookies.set(COOKIE, cookie)
        assert (await browser.get("/dashboard/conditions")).status_code == 303


async def test_a_session_that_was_signed_out_is_refused_on_every_server(watched: TestGateway, tmp_path: Path) -> None:
    async with dashboard_browser(watched, Role.AUDITOR) as browser:
        cookie = browser.cookies[COOKIE]
        answer = await browser.post("/dashboard/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, SIGN_IN)
        assert (await browser.get("/dashboard/conditions")).status_code == 303
    with_cookie = {"Cookie": f"{COOKIE}={cookie}"}
    async with dashboard_browser(watched, Role.AUDITOR) as other:
        assert (await other.get("/dashboard/conditions")).status_code == 200, "another session of the account goes on"
        other.cookies.clear()
        assert (await other.get("/dashboard/conditions", headers=with_cookie)).status_code == 303
    assert cookie not in str(watched.execute("SELECT * FROM grounds.ended_session"))
    async with open_gateway(watched.database_url, tmp_path) as second, dashboard_browser(second, None) as browser:
        assert (await browser.get("/dashboard/conditions", headers=with_cookie)).status_code == 303


async def test_what_is_kept_of_ended_sessions_is_removed_once_they_have_expired(watched: TestGateway) -> None:
    watched.execute("INSERT INTO grounds.ended_session VALUES ('a', now() - interval '2 minutes'), ('b', now())")
    for _ in range(2):
        async with dashboard_browser(watched, Role.AUDITOR) as browser:
            await browser.post("/dashboard/sign-out")
    assert watched.execute("SELECT count(*), bool_or(digest = 'a') FROM grounds.ended_session") == [(3, False)]


async def beside_a_stalled_sign_out(gateway: TestGateway) -> int:
    """Sign out while another sign-out has removed what expired, and does not commit; return a page's status then."""
    gateway.execute(
        "INSERT INTO grounds.ended_session VALUES ('a', now() - interval '2 minutes') ON CONFLICT DO NOTHING"
    )
    with psycopg.connect(gateway.database_url) as stalled:
        stalled.execute("SELECT grounds.end_session('b', now() + interval '1 minute')")
        async with dashboard_browser(gateway, Role.AUDITOR) as browser:
            cookie = browser.cookies[COOKIE]
            await browser.post("/dashboard/sign-out")
            answer = await browser.get("/dashboard/conditions", headers={"Cookie": f"{COOKIE}={cookie}"})
        stalled.rollback()
    return answer.status_code


async def test_a_sign_out_waits_for_no_other(watched: TestGateway, killed: Killed) -> None:
    assert await beside_a_stalled_sign_out(watched) == 303
    alter(watched, "end_session(bytea, timestamp with time zone)", ("SKIP LOCKED", ""))
    status = await beside_a_stalled_sign_out(watched)
    killed(
        "sign-outs wait for each other", "end_session()", f"the cookie is answered {status}" if status != 303 else None
    )


async def test_no_page_is_shown_while_it_is_not_known_which_sessions_were_ended(watched: TestGateway) -> None:
    watched.execute("ALTER TABLE grounds.ended_session RENAME TO gone")
    async with dashboard_browser(watched, Role.AUDITOR) as browser:
        assert (await browser.get("/dashboard/conditions")).status_code == 500
        assert (await browser.post("/dashboard/sign-out")).status_code == 500


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/dashboard", "/dashboard"),
        ("/dashboard/explain?id=a%20b&day=2026-05-01", "/dashboard/explain?id=a%20b&day=2026-05-01"),
        (None, "/dashboard"),
        ("", "/dashboard"),
        ("https://elsewhere.example.org/dashboard", "/dashboard"),
        ("//elsewhere.example.org/dashboard", "/dashboard"),
        ("/dashboardelsewhere", "/dashboard"),
        ("/dashboard/\\elsewhere", "/dashboard"),
        ("/dashboard/\r\nSet-Cookie: a=b", "/dashboard"),
        ("/graphql", "/dashboard"),
    ],
)
def test_one_is_led_to_pages_of_the_dashboard_alone(asked: str | None, led: str) -> None:
    assert local_page(asked) == led


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "", "Sec-Fetch-Site": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/dashboard/policies/hold", SIGN_IN, "/dashboard/sign-out"])
async def test_a_form_that_another_sites_page_sends_does_nothing(
    watched: TestGateway, headers: dict[str, str], path: str
) -> None:
    sent = {"scope": "GLOBAL", "authority": "A", "reason": "B", "token": watched.token(Role.AUDITOR)}
    async with dashboard_browser(watched, Role.PRIVACY_OFFICER) as browser:
        answer = await browser.post(path, data=sent, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert len(await watched.pull()) == 1


async def test_a_form_whose_browser_states_nothing_of_where_it_comes_from_does_nothing(watched: TestGateway) -> None:
    async with dashboard_browser(watched, Role.PRIVACY_OFFICER) as browser:
        for name in ("origin", "sec-fetch-site"):
            del browser.headers[name]
        sent = {"scope": "GLOBAL", "authority": "A", "reason": "B"}
        assert (await browser.post("/dashboard/policies/hold", data=sent)).status_code == 403
    assert len(await watched.pull()) == 1


async def test_whoever_follows_a_link_of_another_site_is_let_in_by_a_page_of_ours(watched: TestGateway) -> None:
    async with dashboard_browser(watched, None) as browser:
        answer = await browser.get("/dashboard/explain?id=item", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200
        assert '<meta http-equiv="refresh" content="0;url=/dashboard/explain?id=item">' in answer.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("role", WATCHING)
async def test_a_page_is_shown_or_refused_plainly_and_never_missing(
    watched: TestGateway, role: Role, page: Page
) -> None:
    async with dashboard_browser(watched, role) as browser:
        answer = await browser.get(page.path)
    if role in page.readers:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 403
        assert f"{page.name} is available to" in answer.text
    assert all(each.path in answer.text for each in PAGES)
    assert ("(no access)" in answer.text) == (role is Role.DASHBOARD)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script|style=|<style|\son[a-z]+=|https?://", answer.text)


@pytest.fixture
async def restricted_gateway(shared_server: SharedServer, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """A gateway whose officers may send trusted documents alone."""
    documents = manifest(tmp_path / "documents.json", "{ viewer { role } }")
    async with shared_server.gateway(documents=documents, documents_only=frozenset(WATCHING)) as gateway:
        yield gateway


async def test_the_pages_work_where_nothing_but_trusted_documents_may_be_sent(restricted_gateway: TestGateway) -> None:
    async with dashboard_browser(restricted_gateway, Role.PRIVACY_OFFICER) as browser:
        for page in PAGES:
            assert (await browser.get(page.path)).status_code == 200, page.path
    headers = {"Authorization": f"Bearer {restricted_gateway.token(Role.AUDITOR)}"}
    sent = {"documentId": document_id(load_operations()["conditions"])}
    answer = (await restricted_gateway.client.post("/graphql", json=sent, headers=headers)).json()
    assert answer["data"]["conditions"]


async def test_what_fails_is_said_with_a_reference_and_without_its_text(watched: TestGateway) -> None:
    watched.execute("ALTER FUNCTION grounds.decision_time() RENAME TO canary_of_a_failure")
    async with dashboard_browser(watched, Role.AUDITOR) as browser:
        answer = await browser.get("/dashboard/explain?id=item")
    assert answer.status_code == 500
    assert re.search(r"reference [0-9a-f]{8}", answer.text)
    assert "canary" not in answer.text


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    rows = [("=1+1", -1), ("+1", -0.5), ("-1", None), ("@SUM(A1)", 0), ("\t=1", 0), (" =1", 0), ("plain, quoted", 0)]
    text = bytes(csv_response(Table("t", "T", ("=name", "number"), rows)).body).decode()
    cells = list(csv.reader(io.StringIO(text)))
    assert [row[0] for row in cells[1:]] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "' =1", "plain, quoted"]
    assert [row[1] for row in cells[1:4]] == ["-1", "-0.5", ""]


async def test_a_code_of_the_demo_signs_in_once_and_within_ten_minutes(
    watched: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = Actor(name="demo", role=Role.PRIVACY_OFFICER)
    code = issue_code(SECRET, officer)
    async with dashboard_browser(watched, None) as browser:
        opened = await browser.get("/dashboard/sign-in", params={"code": code})
        assert (opened.status_code, opened.headers["location"]) == (303, "/dashboard")
        assert "demo" in (await browser.get("/dashboard/policies")).text
    monkeypatch.setattr(sign_in_codes, "CODE_SECONDS", -1)
    for wrong in (code, issue_code(SECRET, officer), f"{code}x", issue_code(b"x" * 32, officer)):
        async with dashboard_browser(watched, None) as browser:
            refused = await browser.get("/dashboard/sign-in", params={"code": wrong})
            assert (refused.status_code, COOKIE in browser.cookies) == (401, False)
            assert "older than 10 minutes" in refused.text
