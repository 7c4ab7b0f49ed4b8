"""Signing in by an OpenID provider: who comes in, and every lie that keeps somebody out."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc.jwk import ECKey

from app.auth.sessions import COOKIE as SESSION
from app.auth.sessions import cookie_serializer
from app.settings import SettingsError, read_settings
from app.web.dashboard.openid import CALLBACK_PATH, COOKIE, START_PATH
from tests.support.gateway import SECRET, TestGateway
from tests.support.openid_provider import CLIENT, CLIENT_SECRET, Provider, providing
from tests.support.shared_server import SharedServer


@dataclass
class SignInPage:
    """A gateway, its OpenID provider, and a client that keeps cookies as a browser does."""

    gateway: TestGateway
    provider: Provider
    browser: httpx.AsyncClient

    async def come(self, path: str = START_PATH) -> httpx.Response:
        """Go to the provider and come back, as a browser does."""
        begun = await self.browser.get(path)
        assert begun.status_code == 303, begun.text
        allowed = await self.browser.get(begun.headers["location"])
        return await self.browser.get(allowed.headers["location"])

    async def is_in(self) -> bool:
        return (await self.browser.get("/dashboard/conditions")).status_code == 200


@pytest.fixture
async def sign_in_page(shared_server: SharedServer) -> AsyncIterator[SignInPage]:
    async with (
        providing() as provider,
        shared_server.gateway(
            public_url=shared_server.address,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=CLIENT_SECRET,
        ) as gateway,
    ):
        yield SignInPage(gateway, provider, gateway.client)


async def test_whom_the_provider_knows_comes_in_and_goes_on_to_the_page(sign_in_page: SignInPage) -> None:
    page = await sign_in_page.browser.get("/dashboard/sign-in", params={"next": "/dashboard/explain?id=a b"})
    assert "Sign in with your organisation" in page.text
    answer = await sign_in_page.come(f"{START_PATH}?{urlencode({'next': '/dashboard/explain?id=a%20b'})}")
    assert answer.status_code == 200
    assert 'content="0;url=/dashboard/explain?id=a%20b"' in answer.text
    cookies = {each.partition("=")[0]: each.lower() for each in answer.headers.get_list("set-cookie")}
    assert "samesite=strict" in cookies[SESSION]
    assert "max-age=0" in cookies[COOKIE]
    shown = await sign_in_page.browser.get("/dashboard/conditions")
    assert "<strong>anna</strong> <span>privacy officer</span>" in shown.text
    assert sign_in_page.provider.faults == []


@pytest.mark.parametrize("role", ["AUDITOR", ["staff", "AUDITOR"]])
async def test_a_role_is_the_claim_or_in_it(sign_in_page: SignInPage, role: Any) -> None:
    sign_in_page.provider.claims = {"role": role}
    assert (await sign_in_page.come()).status_code == 200
    assert "auditor" in (await sign_in_page.browser.get("/dashboard/conditions")).text


DAY = 86_400
# Read when tests are collected, which can be long before they run.
COLLECTED = int(time.time())
LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "is not GROUNDS_OIDC_ISSUER": {"iss": "https://id.example.org"},
    "another audience": {"aud": "another"},
    "an audience beside ours, without saying whose it is": {"aud": [CLIENT, "another"]},
    "for somebody else": {"aud": [CLIENT, "another"], "azp": "another"},
    "expired": {"iat": COLLECTED - 2 * DAY, "exp": COLLECTED - DAY},
    "never expiring": {"exp": None},
    "not valid yet": {"nbf": COLLECTED + DAY},
    "another access token": {"at_hash": "another"},
    "nobody": {"sub": None},
    "nobody's name": {"sub": "a\nb"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_id_token_that_is_not_for_this_sign_in_lets_nobody_in(sign_in_page: SignInPage, lie: str) -> None:
    sign_in_page.provider.claims = LIES[lie]
    answer = await sign_in_page.come()
    assert answer.status_code == 403
    assert "ID token is not for this sign-in" in answer.text or "no valid claim sub" in answer.text
    assert not await sign_in_page.is_in()


@pytest.mark.parametrize(
    "role", [None, "", "TRAINING_CLIENT", "DATA_SUBJECT", "officer", [], ["AUDITOR", "DASHBOARD"], 7]
)
async def test_without_a_role_of_the_dashboard_nobody_comes_in(sign_in_page: SignInPage, role: Any) -> None:
    sign_in_page.provider.claims = {"role": role}
    answer = await sign_in_page.come()
    assert (answer.status_code, "This role has no access to the dashboard" in answer.text) == (403, True)
    assert not await sign_in_page.is_in()


async def test_another_key_makes_no_id_token(sign_in_page: SignInPage) -> None:
    sign_in_page.provider.key = ECKey.generate_key("P-256")
    assert "or not from the provider" in (await sign_in_page.come()).text
    assert not await sign_in_page.is_in()


@pytest.mark.parametrize(
    "returned",
    [{"state": "another"}, {"iss": "https://id.example.org"}, {"code": ""}],
    ids=lambda each: next(iter(each)),
)
async def test_an_answer_to_another_sign_in_lets_nobody_in(sign_in_page: SignInPage, returned: dict[str, str]) -> None:
    sign_in_page.provider.returned = returned
    assert (await sign_in_page.come()).status_code == 403
    assert not await sign_in_page.is_in()


async def test_a_code_that_another_browser_began_with_lets_nobody_in(sign_in_page: SignInPage) -> None:
    begun = await sign_in_page.browser.get(START_PATH)
    allowed = await sign_in_page.browser.get(begun.headers["location"])
    sign_in_page.browser.cookies.clear()
    assert (await sign_in_page.browser.get(allowed.headers["location"])).status_code == 403
    await sign_in_page.browser.get(START_PATH)
    assert (await sign_in_page.browser.get(allowed.headers["location"])).status_code == 403


async def test_a_code_is_good_once(sign_in_page: SignInPage) -> None:
    begun = await sign_in_page.browser.get(START_PATH)
    allowed = await sign_in_page.browser.get(begun.headers["location"])
    cookie = sign_in_page.browser.cookies[COOKIE]
    assert (await sign_in_page.browser.get(allowed.headers["location"])).status_code == 200
    sign_in_page.browser.cookies.clear()
    sign_in_page.browser.cookies.set(COOKIE, cookie)
    assert (await sign_in_page.browser.get(allowed.headers["location"])).status_code == 403


async def test_a_sign_in_that_took_too_long_lets_nobody_in(sign_in_page: SignInPage) -> None:
    said = {"session": {}, "next": "/dashboard", "until": time.time() - 1}
    sign_in_page.browser.cookies.set(COOKIE, str(cookie_serializer(SECRET, "openid").dumps(said)))
    answer = await sign_in_page.browser.get(CALLBACK_PATH, params={"state": "s", "code": "c"})
    assert (answer.status_code, "longer than ten minutes" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ({"issuer": "https://id.example.org"}, 403),
        ({"token_endpoint": "ftp://127.0.0.1/token"}, 403),
        ({"jwks_uri": None}, 403),
    ],
)
async def test_a_provider_that_is_another_is_not_gone_to(
    sign_in_page: SignInPage, stated: dict[str, Any], status: int
) -> None:
    sign_in_page.provider.stated = stated
    assert (await sign_in_page.browser.get(START_PATH)).status_code == status


async def test_a_provider_that_does_not_answer_is_an_outage_and_quotes_nothing(sign_in_page: SignInPage) -> None:
    begun = await sign_in_page.browser.get(START_PATH)
    allowed = await sign_in_page.browser.get(begun.headers["location"])
    nowhere = f"{sign_in_page.provider.issuer}/nowhere"
    sign_in_page.provider.stated = {"token_endpoint": nowhere}
    lost = await sign_in_page.browser.get(allowed.headers["location"])
    sign_in_page.provider.stated = {"jwks_uri": nowhere}
    for answer in (lost, await sign_in_page.come()):
        assert (answer.status_code, "give the operator the reference" in answer.text) == (502, True)
        assert "nowhere" not in answer.text
    assert not await sign_in_page.is_in()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"ISSUER": "https://id.example.org"}, "GROUNDS_OIDC_CLIENT_ID and GROUNDS_OIDC_CLIENT_SECRET: must also be"),
        (
            {"ISSUER": "https://i.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"},
            "GROUNDS_PUBLIC_URL: must also be set",
        ),
        (
            {"ISSUER": "http://id.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"},
            "must be the issuer of an OpenID provider",
        ),
        (
            {"ISSUER": "https://a@id.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"},
            "must be the issuer of an OpenID provider",
        ),
    ],
)
def test_settings_that_are_not_whole_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, stated: dict[str, str], said: str
) -> None:
    for name, value in stated.items():
        monkeypatch.setenv(f"GROUNDS_OIDC_{name}", value)
    with pytest.raises(SettingsError, match=said) as caught:
        read_settings()
    assert "CLIENT_SECRET=b" not in str(caught.value)


def test_the_library_is_loaded_by_the_first_who_comes_that_way() -> None:
    code = "import app.main, sys; sys.exit(any(name.startswith('authlib') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
