"""An ActivityStreams outbox becomes facts that load, and what has no place in them is said."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.convert.activitystreams import ActivityStreams
from app.convert.left_out import LeftOut
from db.ingest.staging import split_lines, stage_chunk
from tests.support.command import grounds

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "activitystreams.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
JANE = "https://social.example.org/users/jane"
NOTE: dict[str, Any] = {
    "type": "Note", "id": f"{JANE}/1", "attributedTo": JANE, "to": [PUBLIC], "content": "<p>A heron.</p>",
    "published": "2026-01-01T00:00:00Z",
}  # fmt: skip


def convert(value: object) -> tuple[list[dict[str, Any]], LeftOut]:
    left_out = LeftOut()
    return list(ActivityStreams("MASTODON", NOW, left_out).records(value)), left_out


def note(**changes: Any) -> dict[str, Any]:
    (record,), _ = convert(NOTE | changes)
    return record


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["id"]))
def test_an_object_becomes_the_facts_of_its_vector(vector: dict[str, Any]) -> None:
    stated = {"id": f"{JANE}/1", "attributedTo": JANE, "published": "2025-01-01T00:00:00Z"} | vector["input"]
    (record,), left_out = convert(stated)
    assert {name: record[name] for name in vector["expected"]} == vector["expected"]
    assert not left_out.faults


def outbox() -> list[dict[str, Any]]:
    """An actor, and an outbox with a post, a reply, a boost, a message, a poll, a deletion and what cannot be read."""
    actor = {"type": "Person", "id": JANE, "indexable": False, "published": "2020-01-01T00:00:00Z"}
    poll = {"type": "Question", "id": f"{JANE}/3", "oneOf": [{"name": "a < b"}], "content": "Which?"}
    picture = {
        "type": "Document",
        "mediaType": "image/png",
        "url": "https://social.example.org/1.png",
        "name": "A heron",
    }
    grave = {"type": "Tombstone", "id": f"{JANE}/6", "deleted": "2026-02-01T00:00:00Z"}
    activities = [
        {"type": "Create", "actor": JANE, "object": NOTE | {"attachment": [picture], "summary": "Birds & more"}},
        {"type": "Create", "actor": JANE, "object": NOTE | {"id": f"{JANE}/2", "inReplyTo": f"{JANE}/1"}},
        {"type": "Announce", "actor": JANE, "object": "https://elsewhere.example.org/9"},
        {"type": "Create", "actor": JANE, "object": NOTE | poll | {"tag": [{"type": "Hashtag", "name": "#x"}]}},
        {"type": "Create", "actor": JANE, "object": NOTE | {"id": f"{JANE}/4", "to": ["https://x.example/users/joe"]}},
        {"type": "Create", "actor": JANE, "object": NOTE | {"id": f"{JANE}/5", "contentMap": {"de": "A", "en": "B"}}},
        {"type": "Delete", "actor": JANE, "object": grave},
        {"type": "Like", "actor": JANE, "object": f"{JANE}/1"},
        {"type": "Create", "actor": JANE, "object": f"{JANE}/7"},
        NOTE | {"attributedTo": None},
    ]  # fmt: skip
    return [actor, {"type": "OrderedCollection", "orderedItems": activities}]


def test_an_outbox_becomes_records_that_load_and_says_what_was_left_out() -> None:
    records, left_out = convert(outbox())
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    staged = stage_chunk(split_lines(lines, 1), frozenset({"MASTODON"}), NOW)
    assert staged.rejected == []
    assert [record["kind"] for record in records] == [
        *("PERSONAL", "POST", "COMMENT", "POST", "PRIVATE_MESSAGE", "POST", "POST")
    ]
    account, post, _, poll, message, several, deleted = records
    assert account["signals"] == [{"standard": "ActivityPub actor", "value": {"indexable": False}}]
    assert post["text"] == "<p>Birds &amp; more</p><p>A heron.</p>"
    assert post["media"][0]["alt"] == "A heron"
    assert poll["text"] == "Which?<p>a &lt; b</p>"
    assert (message["text"], message["media"]) == (None, [])
    assert (several["language"], deleted["deleted_at"]) == (None, "2026-02-01T00:00:00Z")
    assert left_out.lines() == [
        "left out: 1 Create activities that contain no object (export the objects too)",
        "left out: 1 activities or objects of other types",
        "left out: 1 boosts (convert the outbox of the boosted item's author)",
        "left out: 1 hashtags, emoji and other tags",
        "left out: 1 objects without an author or id (state attributedTo and id)",
        "left out: 1 texts in further languages (an item has only one text)",
    ]


def test_an_item_to_nobody_is_a_private_message_and_never_public() -> None:
    audiences: tuple[Any, ...] = ([], None, "", [None], {}, ["https://social.example.org/users/joe"])
    for to in audiences:
        record = note(to=to, cc=None)
        assert (record["kind"], record["audience"], record["text"]) == ("PRIVATE_MESSAGE", "ONLY_ME", None)
    assert note(to=None, bto=[PUBLIC])["audience"] == "UNLISTED"
    assert note(to={"id": PUBLIC})["audience"] == "PUBLIC"


@pytest.mark.parametrize("value", [None, 5, "x", [[]], [7], {"type": []}, {"type": {}}, {"orderedItems": 5}])
def test_what_is_no_object_is_left_out(value: object) -> None:
    records, _ = convert(value)
    assert records == []


def test_the_command_writes_facts_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "outbox.json").write_text(json.dumps(outbox()))
    done = grounds("convert", "activitystreams", "--product", "MASTODON", tmp_path / "outbox.json", data=tmp_path)
    assert done.returncode == 3, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 7
    assert "left out: 1 boosts" in done.stderr
