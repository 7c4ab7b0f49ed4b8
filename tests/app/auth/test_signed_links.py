"""A signed link opens its page for its account until it expires, and discloses nothing to others."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.auth.signed_links import LinkAction, link_path, read_link, sign_link
from tests.support.command import grounds

SECRET = b"a secret of tests, of tests only"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


@pytest.mark.parametrize("account", ["a-1", "ä ö ☃", "a" * 200, "𝄞" * 200, "a&t=b#c"])
@pytest.mark.parametrize("purpose", LinkAction)
def test_a_link_gives_back_the_account_it_was_made_for(account: str, purpose: LinkAction) -> None:
    assert read_link(SECRET, sign_link(SECRET, account, purpose, LATER), purpose, NOW) == account


def test_a_link_ends_with_its_last_second() -> None:
    token = sign_link(SECRET, "a-1", LinkAction.ME, LATER)
    assert read_link(SECRET, token, LinkAction.ME, LATER - timedelta(seconds=1)) == "a-1"
    assert read_link(SECRET, token, LinkAction.ME, LATER) is None


def test_a_link_opens_nothing_but_what_it_was_made_for() -> None:
    token = sign_link(SECRET, "a-1", LinkAction.OBJECT, LATER)
    assert [purpose for purpose in LinkAction if read_link(SECRET, token, purpose, NOW)] == [LinkAction.OBJECT]


def test_another_gateways_link_opens_nothing() -> None:
    token = sign_link(b"another secret of another gateway", "a-1", LinkAction.ME, LATER)
    assert read_link(SECRET, token, LinkAction.ME, NOW) is None


def test_a_link_in_which_any_bit_is_changed_opens_nothing() -> None:
    token = sign_link(SECRET, "a-1", LinkAction.ME, LATER)
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for position in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert read_link(SECRET, forged, LinkAction.ME, NOW) is None


@pytest.mark.parametrize("token", ["", "=", "a", "é", "a" * 100_000, "////", "%00", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_what_is_no_link_opens_nothing(token: str) -> None:
    assert read_link(SECRET, token, LinkAction.ME, NOW) is None


def test_a_link_shows_neither_the_account_nor_when_it_ends() -> None:
    token = sign_link(SECRET, "account-of-anna", LinkAction.ME, LATER)
    assert b"anna" not in base64.urlsafe_b64decode(token + "==")
    other = sign_link(SECRET, "account-of-anna", LinkAction.ME, LATER + timedelta(seconds=1))
    assert not any(token[at : at + 4] == other[at : at + 4] for at in range(len(token) - 4))


def test_the_path_of_a_link_names_page_and_language() -> None:
    assert link_path("token", LinkAction.OBJECT, "de") == "/object?t=token&lang=de"
    assert link_path("token", LinkAction.ME) == "/me?t=token"


def test_the_command_prints_a_link_that_opens_its_page(tmp_path: Path) -> None:
    secret, site = "s" * 32, "https://grounds.example.org"
    settings = {"GROUNDS_SECRET": secret, "GROUNDS_PUBLIC_URL": site}
    printed = grounds("link", "an account", data=tmp_path, env=settings).stdout.strip()
    assert printed.startswith(f"{site}/object?t=")
    (token,) = parse_qs(urlsplit(printed).query)["t"]
    now = datetime.now(UTC)
    assert read_link(secret.encode(), token, LinkAction.OBJECT, now + timedelta(days=29)) == "an account"
    assert read_link(secret.encode(), token, LinkAction.OBJECT, now + timedelta(days=31)) is None
