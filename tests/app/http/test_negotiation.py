"""What a client accepts decides what it is answered: media types, languages, and the type of a body."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from app.http.boundary import JSON
from app.http.negotiation import (
    GRAPHQL_RESPONSE,
    HTML,
    ITEM_BATCH_SIZE,
    accepts,
    body_type,
    encode_json,
    graphql_media_type,
    preferred_language,
    prefers_html,
    read_weights,
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
OFFERED = ("en", "de", "fr")


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "method": "GET"})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON};q=0.9", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE};q=0.5, */*;q=0.4", GRAPHQL_RESPONSE),
        (f"*/*, {JSON};q=0", GRAPHQL_RESPONSE),
        (f"*/*;q=0, {JSON}", JSON),
        (f"{JSON};q=nonsense", None),
        ("text/html", None),
        ("", None),
        ("*/*;q=0", None),
        (BROWSER, JSON),
    ],
)
def test_the_most_specific_range_decides_and_of_equals_the_newer_type_where_it_is_named(
    accept: str, chosen: str | None
) -> None:
    assert graphql_media_type(request(accept=accept)) == chosen


def test_a_client_that_states_nothing_is_answered_in_json_and_takes_anything() -> None:
    assert graphql_media_type(request()) == JSON
    assert accepts(request(), "text/event-stream")
    assert not prefers_html(request())


def test_a_browser_is_told_from_a_program_by_what_it_wants_most() -> None:
    assert prefers_html(request(accept=BROWSER))
    for accept in (JSON, "*/*", "text/*", f"{JSON}, {HTML};q=0.9", f"{HTML}, */*"):
        assert not prefers_html(request(accept=accept)), accept
    assert accepts(request(accept="text/*"), "text/event-stream")
    assert not accepts(request(accept="text/event-stream;q=0, */*"), "text/event-stream")


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9", "de"),
        ("fr;q=0.5, de;q=0.7", "de"),
        ("fr, de", "fr"),
        ("fr;q=0, de;q=0.1", "de"),
        ("pl", "en"),
        ("*", "en"),
        ("de;q=x", "en"),
    ],
)
def test_a_page_is_in_the_language_that_its_reader_wants_most(accept: str, language: str) -> None:
    assert preferred_language(request(accept_language=accept), OFFERED) == language


def test_no_more_ranges_are_read_than_any_client_sends() -> None:
    assert len(read_weights(",".join(f"a/{number}" for number in range(100_000)))) == 50


def test_a_body_is_what_its_type_and_charset_say() -> None:
    for stated, read in (
        ("application/json", (JSON, True)),
        ("Application/JSON; Charset=UTF-8", (JSON, True)),
        ('application/json;charset="utf-8"', (JSON, True)),
        ("application/json; charset=latin-1", (JSON, False)),
        ("text/plain", ("text/plain", True)),
    ):
        assert body_type(request(content_type=stated)) == read, stated
    assert body_type(request())[0] == ""


async def test_long_lists_are_encoded_by_parts_and_others_go_on_in_between() -> None:
    answers: list[Any] = [
        {"data": {"page": {"nodes": [{"id": str(number), "parts": list(range(60))} for number in range(count)]}}}
        for count in (0, 1, 50, 51, 100, 1000)
    ]
    for answer in answers:
        assert await encode_json(answer) == orjson.dumps(answer)
    turns = await turns_of_others(encode_json(answers[-1]))
    assert turns >= 1000 // ITEM_BATCH_SIZE


async def turns_of_others(work: Coroutine[Any, Any, object]) -> int:
    """Return how often another task came to run while this work was done."""
    working, turns = asyncio.create_task(work), 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    return turns
