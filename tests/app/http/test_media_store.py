"""The store of media that GROUNDS_MEDIA names: what is no origin is refused, and what may not be asked is not asked."""

import pytest

from app.http.media_store import MediaStore, MediaUnavailable
from app.settings import Settings
from tests.support.media_store import ORIGIN


@pytest.mark.parametrize(
    ("origin", "command", "why"),
    [
        ("https://localhost:1", None, "address not allowed"),
        ("https://elsewhere.example.org", None, "origin not in GROUNDS_MEDIA"),
        (None, "false", "GROUNDS_MEDIA_HEADERS: failed"),
        (None, "no-such-command", "GROUNDS_MEDIA_HEADERS: FileNotFoundError"),
        (None, "echo no header", "GROUNDS_MEDIA_HEADERS: failed"),
    ],
)
async def test_a_store_that_may_not_be_asked_is_not_asked(origin: str | None, command: str | None, why: str) -> None:
    asked = MediaStore({"https://localhost:1": "https://localhost:1", ORIGIN: "http://127.0.0.1:1"}, command, (), 10)
    with pytest.raises(MediaUnavailable, match=why):
        await asked.open(f"{origin or ORIGIN}/1.png")


@pytest.mark.parametrize(
    "stated",
    [
        *("http://media.example.org", "https://media.example.org/files", "media.example.org", "https://u@example.org"),
        *("https://media.example.org=http://store.example.org", "https://media.example.org=ftp://127.0.0.1"),
        "https://*",
    ],
)
def test_a_store_that_is_no_origin_is_refused_at_the_start(stated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDS_MEDIA", stated)
    with pytest.raises(ValueError, match="must be a list of https origins"):
        Settings()


def test_stores_are_stated_by_their_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDS_MEDIA", "https://Media.example.org/, https://cdn.example.org=http://127.0.0.1:9000")
    assert Settings().media == {
        "https://media.example.org": "https://media.example.org", "https://cdn.example.org": "http://127.0.0.1:9000",
    }  # fmt: skip
