"""Negotiate the media type and language of an answer, read the body of a request, and write a body of JSON.

Media types, languages and the type of a body are read as RFC 9110, 8.3 and 12.5, has it.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.http.boundary import JSON, HTTPError

MAX_BODY_SECONDS: Final = 10.0
GRAPHQL_RESPONSE: Final = "application/graphql-response+json"
HTML: Final = "text/html"
REFERENCE_PATH: Final = "/dashboard/graphql"
"""The page with the reference of the API."""
MAX_RANGES: Final = 50
ITEM_BATCH_SIZE: Final = 50
"""The number of items of a list that are encoded at a time. 1,000 items of a page take several milliseconds."""

_SAME_LANGUAGE: Final = {"no": "nb", "nn": "nb"}
"""The language tags of browsers that differ from the tag of the texts: the Norwegian texts are in Bokmål."""
_WEIGHT: Final = re.compile(r"[01](\.[0-9]*)?")


def read_weights(header: str) -> dict[str, float]:
    """Read the ranges of an HTTP Accept or Accept-Language header, in order, with their weights from 0 to 1."""
    weights: dict[str, float] = {}
    for part in header.split(",", MAX_RANGES)[:MAX_RANGES]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        stated = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        weights[name] = min(float(stated), 1.0) if _WEIGHT.fullmatch(stated) else 0.0
    return weights


def media_weight(weights: Mapping[str, float], media_type: str) -> float:
    """Return the weight that an Accept header states for a media type by its most specific range, or 0."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((weights[each] for each in ranges if each in weights), 0.0)


def accepts(request: Request, media_type: str) -> bool:
    """Return whether the Accept header of an HTTP request takes a media type; without the header, any is taken."""
    return media_weight(read_weights(request.headers.get("accept", "*/*")), media_type) > 0


def graphql_media_type(request: Request) -> str | None:
    """Choose the media type of a GraphQL response over HTTP; None where the client takes neither.

    Of equals the newer one is chosen where it is named: a client that takes anything expects JSON.
    """
    accept = request.headers.get("accept")
    if accept is None:
        return JSON
    weights = read_weights(accept)
    newer, older = media_weight(weights, GRAPHQL_RESPONSE), media_weight(weights, JSON)
    if newer == older == 0.0:
        return None
    return GRAPHQL_RESPONSE if newer > older or (newer == older and GRAPHQL_RESPONSE in weights) else JSON


def prefers_html(request: Request) -> bool:
    """Return whether an HTTP request comes from a browser: its Accept header names HTML and wants JSON less."""
    weights = read_weights(request.headers.get("accept", ""))
    return weights.get(HTML, 0.0) > max(media_weight(weights, JSON), media_weight(weights, GRAPHQL_RESPONSE))


def preferred_language(request: Request, offered: Sequence[str]) -> str:
    """Choose the offered language that an Accept-Language header weighs most; of equals the first named."""
    best, chosen = 0.0, offered[0]
    for tag, weight in read_weights(request.headers.get("accept-language", "")).items():
        language = _SAME_LANGUAGE.get(base := tag.partition("-")[0], base)
        if language in offered and weight > best:
            best, chosen = weight, language
    return chosen


def body_type(request: Request) -> tuple[str, bool]:
    """Return the media type of an HTTP request's body, in lower case, and whether its text is in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((each.removeprefix("charset=") for each in parameters if each.startswith("charset=")), "utf-8")
    return media_type, charset.strip('"') in ("utf-8", "utf8")


async def encode_json(value: dict[str, Any]) -> bytes:
    """Encode the body of an HTTP response; other requests go on between parts of a long list that objects contain."""
    return orjson.dumps(await _with_encoded_lists(value))


async def _with_encoded_lists(value: Any) -> Any:
    """Replace the long lists in nested objects of an HTTP response by their JSON."""
    if isinstance(value, dict):
        return {name: await _with_encoded_lists(each) for name, each in value.items()}
    if not isinstance(value, list) or len(value) <= ITEM_BATCH_SIZE:
        return value
    parts = []
    for start in range(0, len(value), ITEM_BATCH_SIZE):
        parts.append(orjson.dumps(value[start : start + ITEM_BATCH_SIZE])[1:-1])
        await asyncio.sleep(0)
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


async def read_body(request: Request, max_bytes: int, advice: str) -> bytes:
    """Read a small body of an HTTP request. Raises HTTPError if it is longer, TimeoutError after MAX_BODY_SECONDS."""
    body = bytearray()
    async with asyncio.timeout(MAX_BODY_SECONDS):
        async for block in request.stream():
            body += block
            if len(body) > max_bytes:
                raise HTTPError(413, f"the body is longer than {max_bytes} bytes ({advice})")
    return bytes(body)


def to_reference(request: Request) -> Response | None:
    """Lead a browser that opens /graphql by hand to the API reference; None for any other HTTP request."""
    is_by_hand = not request.query_params and "authorization" not in request.headers and prefers_html(request)
    return RedirectResponse(REFERENCE_PATH, 303, headers={"Vary": "Accept"}) if is_by_hand else None
