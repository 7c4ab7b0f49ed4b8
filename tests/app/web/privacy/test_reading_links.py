"""A link to the own data opens for 7 days, in the browser that opens it first, until it is revoked."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.web.privacy.my_data import COOKIE
from app.web.privacy.rendering import texts_of
from schema.actor import Role
from tests.support.command import grounds
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import ISSUE_LINK, SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter

REVOKE = "mutation Revoke($account: String) { revokeReadingLinks(account: $account) { count } }"
ME: dict[str, Any] = {"subject": "author"}


@pytest.fixture
async def known(gateway: TestGateway) -> TestGateway:
    """Somebody whose post is permitted."""
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    return gateway


async def opened(gateway: TestGateway, token: str, browser: str | None = None, **options: Any) -> httpx.Response:
    """Open a link in a browser of its own, or in the one that has a cookie."""
    async with httpx.AsyncClient(base_url=gateway.address, timeout=60) as client:
        headers = {"Cookie": f"{COOKIE}={browser}"} if browser else {}
        return await client.request(
            options.pop("method", "GET"), "/me", params={"t": token}, headers=headers, **options
        )


async def statuses(gateway: TestGateway, token: str, *browsers: str | None) -> list[int]:
    return [(await opened(gateway, token, browser)).status_code for browser in browsers]


async def test_a_link_opens_in_the_browser_that_opens_it_first_and_in_no_other(known: TestGateway) -> None:
    token = await known.reading_token()
    first = await opened(known, token)
    assert "A heron stood by the weir." in first.text
    cookie = first.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/me", "Max-Age=604800"))
    browser = first.cookies[COOKIE]
    for other in (None, "another", browser[:-1]):
        refused = await opened(known, token, other)
        assert (refused.status_code, "heron" in refused.text) == (401, False)
        assert texts_of("en")["errors"]["me"] in refused.text
        assert "set-cookie" not in refused.headers
    assert await statuses(known, token, browser, browser) == [200, 200]
    assert await statuses(known, await known.reading_token(), browser) == [200], "another link, in the same browser"
    kept = str(known.execute("SELECT * FROM grounds.reading_link"))
    assert token not in kept
    assert browser not in kept


async def test_of_many_browsers_that_open_a_link_at_once_one_gets_it(known: TestGateway) -> None:
    for _ in range(4):
        token = await known.reading_token()
        answers = await asyncio.gather(*(opened(known, token) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]


async def test_a_link_ends_after_seven_days_and_is_forgotten_seven_days_later(known: TestGateway) -> None:
    issued = (await known.ask(Role.PRIVACY_OFFICER, ISSUE_LINK, {"account": "author"}))["issueReadingLink"]
    assert issued["expiresAt"] == (NOW + 7 * DAY).isoformat()
    token = issued["path"].removeprefix("/me?t=")
    browser = (await opened(known, token)).cookies[COOKIE]
    unopened = await known.reading_token()
    known.set_clock(NOW + 7 * DAY)
    assert await statuses(known, token, browser) == [401]
    assert await statuses(known, unopened, None) == [401]
    known.set_clock(NOW + 15 * DAY)
    await known.reading_token()
    assert known.execute("SELECT count(*) FROM grounds.reading_link") == [(1,)]


async def test_an_officer_the_platform_and_the_person_revoke_links_at_once(known: TestGateway) -> None:
    revokers: list[tuple[Role, dict[str, str], dict[str, Any]]] = [
        (Role.PRIVACY_OFFICER, {"account": "author"}, {}),
        (Role.PLATFORM_INGEST, {"account": "author"}, {}),
        (Role.DATA_SUBJECT, {}, ME),
    ]
    for role, variables, claims in revokers:
        tokens = [await known.reading_token() for _ in range(2)]
        others = await known.reading_token("somebody-else")
        browser = (await opened(known, tokens[0])).cookies[COOKIE]
        answer = await known.ask(role, REVOKE, variables, **claims)
        assert answer == {"revokeReadingLinks": {"count": 2}}
        assert [await statuses(known, token, browser) for token in tokens] == [[401], [401]]
        assert await statuses(known, others, None) == [200]
    assert await known.ask(Role.DATA_SUBJECT, REVOKE, **ME) == {"revokeReadingLinks": {"count": 0}}


async def test_a_person_revokes_no_links_of_another(known: TestGateway) -> None:
    for role, variables, said in (
        (Role.DATA_SUBJECT, {"account": "b"}, "account: only officers and the platform can set this"),
        (Role.PRIVACY_OFFICER, {}, "account: is missing"),
        (Role.PRIVACY_OFFICER, {"account": "\n"}, "account: must have 1 to 200 printable characters"),
    ):
        claims = ME if role is Role.DATA_SUBJECT else {}
        answer = (await known.post(role, REVOKE, variables, **claims)).json()
        assert answer["errors"][0]["message"].startswith(said)


async def test_only_the_platform_and_officers_issue_links(known: TestGateway) -> None:
    for role in Role:
        claims = ME if role is Role.DATA_SUBJECT else {}
        answer = (await known.post(role, ISSUE_LINK, {"account": "author"}, **claims)).json()
        assert ("errors" not in answer) == (role in (Role.PLATFORM_INGEST, Role.PRIVACY_OFFICER)), role
    issuers = known.execute("SELECT issued_by FROM grounds.reading_link ORDER BY 1")
    assert issuers == [("PLATFORM",), ("development-privacy_officer",)]


async def test_a_forged_link_opens_nothing_and_asks_the_database_nothing(known: TestGateway) -> None:
    token = await known.reading_token()
    known.execute("ALTER FUNCTION grounds.open_reading_link(bytea, bytea) RENAME TO gone")
    forged = [token[:-2] + "AA", token[1:], "", "é", "a" * 43, "a" * 5000]
    assert [(await opened(known, each)).status_code for each in forged] == [401] * len(forged)
    assert (await opened(known, token, method="HEAD")).status_code in (401, 405)


async def test_the_command_issues_a_link_and_revokes_all(known: TestGateway) -> None:
    settings = {"DATABASE_URL": known.database_url, "GROUNDS_SECRET": SECRET.decode()}
    settings["GROUNDS_PUBLIC_URL"] = "https://grounds.example.org"
    printed = grounds("link", "author", "--me", env=settings, data=Path("no data")).stdout.strip()
    token = printed.removeprefix("https://grounds.example.org/me?t=")
    browser = (await opened(known, token)).cookies[COOKIE]
    assert grounds("link", "author", "--revoke", env=settings, data=Path("no data")).stdout == "1 links were revoked\n"
    assert await statuses(known, token, browser) == [401]
    assert grounds("link", "author", "--me", "--days", "30", env=settings, data=Path("no data")).returncode == 2
    assert grounds("link", "author", "--me", "--revoke", env=settings, data=Path("no data")).returncode == 2


async def test_broken_builds_are_noticed(known: TestGateway, killed: Killed) -> None:
    opening = "open_reading_link(bytea, bytea)"
    for name, change in (
        ("any browser opens a link", ("AND l.browser = its_browser", "")),
        ("a later browser takes a link over", ("AND l.browser IS NULL", "")),
        ("a revoked link opens", (" AND l.revoked_at IS NULL", "")),
        ("an expired link opens", (" AND l.expires_at > now", "")),
    ):
        definition = known.execute(f"SELECT pg_get_functiondef('grounds.{opening}'::regprocedure)")
        known.set_clock(NOW)
        token, revoked = await known.reading_token(), await known.reading_token()
        browser = (await opened(known, revoked)).cookies[COOKIE]
        known.execute(
            "UPDATE grounds.reading_link SET revoked_at = now() WHERE browser IS NOT NULL AND revoked_at IS NULL"
        )
        first = (await opened(known, token)).cookies[COOKIE]
        alter(known, opening, change)
        found = await statuses(known, token, None) + await statuses(known, revoked, browser)
        known.set_clock(NOW + 8 * DAY)
        found += await statuses(known, token, first)
        known.execute(definition[0][0])
        killed(name, "db/sql/reading_link.sql", "the tests above" if 200 in found else None)
