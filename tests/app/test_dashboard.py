"""Who gets in at the dashboard, what is refused at its door, and what its pages read by."""

import ast
import csv
import io
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema as build_sdl
from graphql import parse

from app.dashboard.desk import SIGN_IN
from app.dashboard.entrance import PER_MINUTE
from app.dashboard.frame import PAGES, Page
from app.dashboard.reading import operations
from app.dashboard.signing_in import COOKIE, local_path, serializer
from app.dashboard.tables import Table, as_csv
from schema.actor import Role
from schema.contracts import Finding, check, identify, operations_of
from tests.app.test_documents import manifest
from tests.app.test_edges import opened
from tests.dashboard import at_desk
from tests.facts import NOW, fact
from tests.gateway import SECRET, TestGateway

ROOT = Path(__file__).parents[2]
SDL = build_sdl((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8"))
WATCHING = (Role.DASHBOARD, Role.PRIVACY_OFFICER, Role.AUDITOR)
OTHERS = {
    Role.TRAINING_CLIENT: {},
    Role.DATA_SUBJECT: {"subject": "author"},
    Role.PLATFORM_INGEST: {},
}
READ_BY_ALL = ("overview", "overview_before", "conditions", "skew")
READ_BY_EXAMINERS = ("notices", "objections", "clients", "explain")


@pytest.fixture
async def watched(gateway: TestGateway) -> TestGateway:
    """One item that is permitted."""
    gateway.set_clock(NOW)
    answer = await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    assert answer["total"]["rejected"] == 0
    return gateway


def sealed(**said: Any) -> str:
    """Write a cookie as the gateway does."""
    known = {"name": "anna", "role": "PRIVACY_OFFICER", "expires": time.time() + 60}
    return str(serializer(SECRET, "session").dumps(known | said))


@pytest.mark.parametrize("role", WATCHING)
async def test_a_token_signs_its_bearer_in_and_lies_in_no_cookie(watched: TestGateway, role: Role) -> None:
    token = watched.token(role, name="anna")
    async with at_desk(watched, None) as browser:
        answer = await browser.post(SIGN_IN, data={"token": f" {token}\n", "next": "/dashboard/conditions?a=b"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/conditions?a=b")
        cookie = answer.headers["set-cookie"]
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert attributes == {"httponly", "path=/dashboard", "samesite=strict"}
        assert not any(part in cookie for part in token.split("."))
        page = await browser.get("/dashboard/conditions")
        assert (page.status_code, "anna" in page.text) == (200, True)


async def test_the_cookie_is_secure_where_people_come_by_https(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, public_url="https://grounds.example.org") as gateway:
        async with at_desk(gateway, None) as browser:
            answer = await browser.post(SIGN_IN, data={"token": gateway.token(Role.AUDITOR)})
        assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("role", OTHERS)
async def test_another_role_is_told_that_the_dashboard_is_not_for_it(watched: TestGateway, role: Role) -> None:
    async with at_desk(watched, None) as browser:
        answer = await browser.post(SIGN_IN, data={"token": watched.token(role, **OTHERS[role])})
        assert answer.status_code == 403
        assert f"{role} may not use it" in answer.text
        assert "set-cookie" not in answer.headers
        assert (await browser.get("/dashboard/conditions")).status_code == 303


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"token": ""}, 422, "There is no token"),
        ({"token": "nonsense"}, 401, "exactly one signed JSON Web Token"),
        ({"token": "a.b.c"}, 401, "the token is malformed"),
        ({"token": "x" * 20_000}, 413, "the form is longer"),
    ],
)
async def test_a_wrong_token_signs_nobody_in(
    watched: TestGateway, sent: dict[str, str], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with at_desk(watched, None) as browser:
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
        async with at_desk(watched, None) as browser:
            await browser.post(SIGN_IN, data={"token": token})
            await browser.get("/dashboard/explain", params={"id": "an-id-of-an-item"})
    logged = caplog.text + "".join(capfd.readouterr())
    assert not any(secret in logged for secret in (token, "a-name-of-somebody", "an-id-of-an-item"))


async def test_too_many_attempts_are_held_off_for_a_minute(watched: TestGateway) -> None:
    async with at_desk(watched, None) as browser:
        statuses = [(await browser.post(SIGN_IN, data={"token": "a.b.c"})).status_code for _ in range(PER_MINUTE + 9)]
        answer = await browser.post(SIGN_IN, data={"token": "a.b.c"})
    assert (statuses[0], answer.status_code, answer.headers["retry-after"]) == (401, 429, "60")


async def test_a_session_that_is_over_says_so_and_leads_back_to_the_page(watched: TestGateway) -> None:
    async with at_desk(watched, None) as browser:
        browser.cookies.set(COOKIE, sealed(expires=time.time() - 1))
        answer = await browser.get("/dashboard/explain?id=item")
        assert answer.status_code == 303
        page = await browser.get(answer.headers["location"])
        assert "Your sign-in is over" in page.text
        assert 'value="/dashboard/explain?id=item"' in page.text
        answer = await browser.post(
            SIGN_IN, data={"token": watched.token(Role.AUDITOR), "next": "/dashboard/explain?id=item"}
        )
        assert answer.headers["location"] == "/dashboard/explain?id=item"


async def test_a_session_ends_with_its_token(watched: TestGateway) -> None:
    async with at_desk(watched, Role.AUDITOR, lifetime_seconds=2) as browser:
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
        str(serializer(b"another secret", "session").dumps({"name": "a", "role": "AUDITOR", "expires": 9e9})),
        str(serializer(SECRET, "openid").dumps({"name": "a", "role": "AUDITOR", "expires": 9e9})),
    ],
)
async def test_a_cookie_that_is_not_ours_is_nobodys(watched: TestGateway, cookie: str) -> None:
    async with at_desk(watched, None) as browser:
        browser.cookies.set(COOKIE, cookie)
        assert (await browser.get("/dashboard/conditions")).status_code == 303


async def test_somebody_signs_out(watched: TestGateway) -> None:
    async with at_desk(watched, Role.AUDITOR) as browser:
        answer = await browser.post("/dashboard/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, SIGN_IN)
        assert (await browser.get("/dashboard/conditions")).status_code == 303


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
    assert local_path(asked) == led


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
    async with at_desk(watched, Role.PRIVACY_OFFICER) as browser:
        answer = await browser.post(path, data=sent, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert len(await watched.pull()) == 1


async def test_a_form_whose_browser_states_nothing_of_where_it_comes_from_does_nothing(watched: TestGateway) -> None:
    async with at_desk(watched, Role.PRIVACY_OFFICER) as browser:
        for name in ("origin", "sec-fetch-site"):
            del browser.headers[name]
        sent = {"scope": "GLOBAL", "authority": "A", "reason": "B"}
        assert (await browser.post("/dashboard/policies/hold", data=sent)).status_code == 403
    assert len(await watched.pull()) == 1


async def test_whoever_follows_a_link_of_another_site_is_let_in_by_a_page_of_ours(watched: TestGateway) -> None:
    async with at_desk(watched, None) as browser:
        answer = await browser.get("/dashboard/explain?id=item", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200
        assert '<meta http-equiv="refresh" content="0;url=/dashboard/explain?id=item">' in answer.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("role", WATCHING)
async def test_a_page_is_shown_or_refused_plainly_and_never_missing(
    watched: TestGateway, role: Role, page: Page
) -> None:
    async with at_desk(watched, role) as browser:
        answer = await browser.get(page.path)
    if role in page.readers:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 403
        assert f"{page.name} is for" in answer.text
    assert all(each.path in answer.text for each in PAGES)
    assert ("(not for you)" in answer.text) == (role is Role.DASHBOARD)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script|style=|<style|\son[a-z]+=|https?://", answer.text)


def findings(name: str, role: Role | None = None) -> list[Finding]:
    text = operations()[name]
    (operation,) = operations_of(parse(text), "dashboard", name, name, text)
    return check(SDL, operation, role)


@pytest.mark.parametrize("name", operations())
def test_every_operation_is_valid_for_the_committed_schema_and_within_its_limits(name: str) -> None:
    assert findings(name) == []


@pytest.mark.parametrize("name", READ_BY_ALL)
@pytest.mark.parametrize("role", WATCHING)
def test_what_all_may_see_is_read_by_fields_that_all_may_read(name: str, role: Role) -> None:
    assert findings(name, role) == []


@pytest.mark.parametrize("name", READ_BY_EXAMINERS)
def test_what_is_closed_to_dashboards_is_closed_in_the_schema(name: str) -> None:
    assert "DASHBOARD may not read it" in findings(name, Role.DASHBOARD)[0].message


def test_the_dashboard_knows_no_database() -> None:
    for path in (ROOT / "app" / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in named if name.split(".")[0] in ("db", "asyncpg", "psycopg")], path


@pytest.fixture
async def kept(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """A gateway whose officers may send trusted documents alone."""
    documents = manifest(tmp_path / "documents.json", "{ viewer { role } }")
    async with opened(
        database_url, tmp_path / "data", documents=documents, documents_only=frozenset(WATCHING)
    ) as gateway:
        yield gateway


async def test_the_pages_work_where_nothing_but_trusted_documents_may_be_sent(kept: TestGateway) -> None:
    async with at_desk(kept, Role.PRIVACY_OFFICER) as browser:
        for page in PAGES:
            assert (await browser.get(page.path)).status_code == 200, page.path
    headers = {"Authorization": f"Bearer {kept.token(Role.AUDITOR)}"}
    sent = {"documentId": identify(operations()["conditions"])}
    answer = (await kept.client.post("/graphql", json=sent, headers=headers)).json()
    assert len(answer["data"]["conditions"]) == 23


async def test_what_fails_is_said_with_a_reference_and_without_its_text(watched: TestGateway) -> None:
    watched.execute("ALTER FUNCTION grounds.decision_time() RENAME TO canary_of_a_failure")
    async with at_desk(watched, Role.AUDITOR) as browser:
        answer = await browser.get("/dashboard/explain?id=item")
    assert answer.status_code == 500
    assert re.search(r"reference [0-9a-f]{8}", answer.text)
    assert "canary" not in answer.text


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    rows = [("=1+1", -1), ("+1", -0.5), ("-1", None), ("@SUM(A1)", 0), ("\t=1", 0), (" =1", 0), ("plain, quoted", 0)]
    text = bytes(as_csv(Table("t", "T", ("=name", "number"), rows)).body).decode()
    cells = list(csv.reader(io.StringIO(text)))
    assert [row[0] for row in cells[1:]] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "' =1", "plain, quoted"]
    assert [row[1] for row in cells[1:4]] == ["-1", "-0.5", ""]
