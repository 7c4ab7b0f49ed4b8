"""The tokens of identity providers are accepted with the settings that app/README.md names, and only with these."""

import asyncio
import re
from typing import Any

import pytest

import app.server.bootstrap
from app.auth.authenticator import Authenticator, static_keys
from app.auth.token_claims import find_claim, held_roles
from app.server.bootstrap import open_authenticator
from app.settings import Settings, read_settings
from schema.actor import Role
from tests.support.identity_providers import AUTH0, ENTRA, KEYCLOAK, PROVIDERS
from tests.support.repository import ROOT
from tests.support.tokens import KEY, NOW, bearer, changed, public, refusal

README = (ROOT / "app" / "README.md").read_text(encoding="utf-8")


def recipe(provider: str) -> dict[str, str]:
    """Read the settings of a provider's recipe in app/README.md."""
    section = README.partition(f"**{provider}.**")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, f"app/README.md has no recipe for {provider}"
    return dict(re.findall(r"^(GROUNDS_\w+)=(.*)$", block[1], re.MULTILINE))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def keys(_: str) -> Any:
        return static_keys(public(KEY))

    monkeypatch.setattr(app.server.bootstrap, "open_keys", keys)

    def open_with(settings: dict[str, str]) -> Authenticator:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        let_in = asyncio.run(open_authenticator(read_settings()))
        let_in._clock = lambda: NOW
        return let_in

    return open_with


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_a_providers_token_is_accepted_by_its_recipe_and_not_without(provider: str, opened: Any) -> None:
    settings, claims = recipe(provider), PROVIDERS[provider]
    actor = asyncio.run(opened(settings).actor(bearer(claims)))
    assert (actor.role, actor.client, actor.purpose) == (Role.TRAINING_CLIENT, "trainer", "GENAI_TRAINING")
    for missing in settings.keys() - {"GROUNDS_JWKS", "GROUNDS_ISSUER", "GROUNDS_AUDIENCE"}:
        default = Settings.model_fields[missing.removeprefix("GROUNDS_").lower()].default
        asyncio.run(refusal(bearer(claims), opened(settings | {missing: str(default)})))


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_a_token_for_another_gateway_or_with_two_roles_is_refused(provider: str, opened: Any) -> None:
    settings, claims = recipe(provider), PROVIDERS[provider]
    let_in = opened(settings)
    audience, role = settings.get("GROUNDS_AUDIENCE_CLAIM", "aud"), settings["GROUNDS_ROLE_CLAIM"]
    assert "audience" in asyncio.run(refusal(bearer(claims | {audience: "another"}), let_in))
    assert "audience" in asyncio.run(refusal(bearer(changed(claims, {audience: ...})), let_in))
    both = ["TRAINING_CLIENT", "PRIVACY_OFFICER"]
    two = {"realm_access": {"roles": both}} if role == "realm_access.roles" else {role: both}
    assert "several roles" in asyncio.run(refusal(bearer(claims | two), let_in))


def test_a_lifetime_and_a_leeway_are_bounded_by_their_settings(opened: Any) -> None:
    settings = recipe("Entra ID")
    longest = ENTRA | {"exp": NOW - 300 + 5_401}
    assert "5400 seconds" in asyncio.run(refusal(bearer(longest), opened(settings)))
    early = AUTH0 | {"iat": NOW + 60, "exp": NOW + 3_000}
    assert "not valid yet" in asyncio.run(refusal(bearer(early), opened(recipe("Auth0"))))
    asyncio.run(opened(recipe("Auth0") | {"GROUNDS_TOKEN_LEEWAY_SECONDS": "60"}).actor(bearer(early)))


def test_a_claim_is_found_by_its_name_before_its_path() -> None:
    assert find_claim(AUTH0, "https://grounds.example.org/role") == "TRAINING_CLIENT"
    assert find_claim({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert [find_claim(KEYCLOAK, name) for name in ("realm_access.roles.x", "realm_access.none", "", "azp.x")] == [
        None
    ] * 4
    assert held_roles({"TRAINING_CLIENT": 1}) == held_roles(None) == held_roles(["training_client", 7, {}]) == []
