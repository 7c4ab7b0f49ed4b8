"""Signing in by an OpenID provider: who comes in, and every lie that keeps somebody out."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc.jwk import ECKey

from app.dashboard.openid import BEGIN, COOKIE, RETURN
from app.dashboard.signing_in import COOKIE as SESSION
from app.dashboard.signing_in import serializer
from app.issuer import DevelopmentIssuer
from app.server import listen, serving
from app.settings import Settings, SettingsError, read_settings
from tests.gateway import SECRET, TestGateway
from tests.provider import CLIENT, CLIENT_SECRET, Provider, providing


@dataclass
class Entrance:
    """Hold a gateway and the provider that people come by, and a browser of sorts."""

    gateway: TestGateway
    provider: Provider
    browser: httpx.AsyncClient

    async def come(self, path: str = BEGIN) -> httpx.Response:
        """Go to the provider and come back, as a browser does."""
        begun = await self.browser.get(path)
        assert begun.status_code == 303, begun.text
        allowed = await self.browser.get(begun.headers["location"])
        return await self.browser.get(allowed.headers["location"])

    async def is_in(self) -> bool:
        return (await self.browser.get("/dashboard/conditions")).status_code == 200


@pytest.fixture
async def entrance(database_url: str, tmp_path: Path) -> AsyncIterator[Entrance]:
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with providing() as provider:
        settings = Settings(
            data=tmp_path,
            database_url=database_url,
            secret=SECRET.decode(),
            public_url=address,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=CLIENT_SECRET,
        )
        async with (
            serving(settings, database_url, "127.0.0.1", listener=listener) as (_, _),
            httpx.AsyncClient(base_url=address) as browser,
        ):
            gateway = TestGateway(address, database_url, DevelopmentIssuer.open(tmp_path), browser)
            yield Entrance(gateway, provider, browser)


async def test_whom_the_provider_knows_comes_in_and_goes_on_to_the_page(entrance: Entrance) -> None:
    page = await entrance.browser.get("/dashboard/sign-in", params={"next": "/dashboard/explain?id=a b"})
    assert "Sign in with your organisation" in page.text
    answer = await entrance.come(f"{BEGIN}?{urlencode({'next': '/dashboard/explain?id=a%20b'})}")
    assert answer.status_code == 200
    assert 'content="0;url=/dashboard/explain?id=a%20b"' in answer.text
    cookies = {each.partition("=")[0]: each.lower() for each in answer.headers.get_list("set-cookie")}
    assert "samesite=strict" in cookies[SESSION]
    assert "max-age=0" in cookies[COOKIE]
    shown = await entrance.browser.get("/dashboard/conditions")
    assert "<strong>anna</strong> <span>privacy officer</span>" in shown.text
    assert entrance.provider.faults == []


@pytest.mark.parametrize("role", ["AUDITOR", ["staff", "AUDITOR"]])
async def test_a_role_is_the_claim_or_in_it(entrance: Entrance, role: Any) -> None:
    entrance.provider.claims = {"role": role}
    assert (await entrance.come()).status_code == 200
    assert "auditor" in (await entrance.browser.get("/dashboard/conditions")).text


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another issuer": {"iss": "https://id.example.org"},
    "another audience": {"aud": "another"},
    "an audience beside ours, without saying whose it is": {"aud": [CLIENT, "another"]},
    "for somebody else": {"aud": [CLIENT, "another"], "azp": "another"},
    "expired": {"iat": int(time.time()) - 900, "exp": int(time.time()) - 600},
    "never expiring": {"exp": None},
    "not valid yet": {"nbf": int(time.time()) + 600},
    "another access token": {"at_hash": "another"},
    "nobody": {"sub": None},
    "nobody's name": {"sub": "a\nb"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_id_token_that_is_not_for_this_sign_in_lets_nobody_in(entrance: Entrance, lie: str) -> None:
    entrance.provider.claims = LIES[lie]
    answer = await entrance.come()
    assert answer.status_code == 403
    assert "ID token is not for this sign-in" in answer.text or "does not say who came" in answer.text
    assert not await entrance.is_in()


@pytest.mark.parametrize(
    "role", [None, "", "TRAINING_CLIENT", "DATA_SUBJECT", "officer", [], ["AUDITOR", "DASHBOARD"], 7]
)
async def test_without_a_role_of_the_dashboard_nobody_comes_in(entrance: Entrance, role: Any) -> None:
    entrance.provider.claims = {"role": role}
    answer = await entrance.come()
    assert (answer.status_code, "The dashboard is not for this role" in answer.text) == (403, True)
    assert not await entrance.is_in()


async def test_another_key_makes_no_id_token(entrance: Entrance) -> None:
    entrance.provider.key = ECKey.generate_key("P-256")
    assert "or not the provider" in (await entrance.come()).text
    assert not await entrance.is_in()


@pytest.mark.parametrize(
    "returned",
    [{"state": "another"}, {"iss": "https://id.example.org"}, {"code": ""}],
    ids=lambda each: next(iter(each)),
)
async def test_an_answer_to_another_sign_in_lets_nobody_in(entrance: Entrance, returned: dict[str, str]) -> None:
    entrance.provider.returned = returned
    assert (await entrance.come()).status_code == 403
    assert not await entrance.is_in()


async def test_a_code_that_another_browser_began_with_lets_nobody_in(entrance: Entrance) -> None:
    begun = await entrance.browser.get(BEGIN)
    allowed = await entrance.browser.get(begun.headers["location"])
    entrance.browser.cookies.clear()
    assert (await entrance.browser.get(allowed.headers["location"])).status_code == 403
    await entrance.browser.get(BEGIN)
    assert (await entrance.browser.get(allowed.headers["location"])).status_code == 403


async def test_a_code_is_good_once(entrance: Entrance) -> None:
    begun = await entrance.browser.get(BEGIN)
    allowed = await entrance.browser.get(begun.headers["location"])
    cookie = entrance.browser.cookies[COOKIE]
    assert (await entrance.browser.get(allowed.headers["location"])).status_code == 200
    entrance.browser.cookies.clear()
    entrance.browser.cookies.set(COOKIE, cookie)
    assert (await entrance.browser.get(allowed.headers["location"])).status_code == 403


async def test_a_sign_in_that_took_too_long_lets_nobody_in(entrance: Entrance) -> None:
    said = {"state": "s", "nonce": "n", "verifier": "v", "next": "/dashboard", "until": time.time() - 1}
    entrance.browser.cookies.set(COOKIE, str(serializer(SECRET, "openid").dumps(said)))
    answer = await entrance.browser.get(RETURN, params={"state": "s", "code": "c"})
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
    entrance: Entrance, stated: dict[str, Any], status: int
) -> None:
    entrance.provider.stated = stated
    assert (await entrance.browser.get(BEGIN)).status_code == status


async def test_a_provider_that_does_not_answer_is_an_outage_and_quotes_nothing(entrance: Entrance) -> None:
    begun = await entrance.browser.get(BEGIN)
    allowed = await entrance.browser.get(begun.headers["location"])
    entrance.provider.stated = {"token_endpoint": f"{entrance.provider.issuer}/nowhere"}
    assert (await entrance.browser.get(allowed.headers["location"])).status_code == 403
    entrance.provider.stated = {"jwks_uri": f"{entrance.provider.issuer}/nowhere"}
    answer = await entrance.come()
    assert (answer.status_code, "tell the operator the reference" in answer.text) == (502, True)
    assert not await entrance.is_in()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"ISSUER": "https://id.example.org"}, "GROUNDS_OIDC_CLIENT_ID and GROUNDS_OIDC_CLIENT_SECRET not set"),
        ({"ISSUER": "https://i.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}, "GROUNDS_PUBLIC_URL not set"),
        ({"ISSUER": "http://id.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}, "is no OpenID provider"),
        ({"ISSUER": "https://a@id.example.org", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}, "is no OpenID provider"),
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
