"""A page in a reader's language: its words, its template, its headers."""

import json
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

LANGUAGES: Final = ("en", "de", "fr", "es", "it")
STYLESHEET: Final = "/pages/grounds.css"
# A form's browser states its Origin only where the page lets it tell its own site of itself (base.html says so).
CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Texts = dict[str, Any]


@cache
def texts_of(language: str) -> Texts:
    """Give every sentence of the pages in a language."""
    file = resources.files("app.pages") / "texts" / f"{language}.json"
    found: Texts = json.loads(file.read_text(encoding="utf-8"))
    return found


def language_of(request: Request) -> str:
    """Choose the language of a page: the one that the address names, else the reader's first that there is."""
    named = request.query_params.get("lang", "")
    if named in LANGUAGES:
        return named
    wishes: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "").split(",")[:20]:
        tag, _, quality = part.strip().lower().partition(";q=")
        language = tag.partition("-")[0]
        if language in LANGUAGES:
            wishes.append((_number(quality), language))
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else LANGUAGES[0]


def _number(quality: str) -> float:
    try:
        return float(quality) if quality else 1.0
    except ValueError:
        return 0.0


def page(request: Request, template: str, *, status: int = 200, retry: int | None = None, **values: Any) -> Response:
    """Answer with a page in the reader's language; `values` are what its template names.

    `retry` says after how many seconds to try again.
    """
    language = language_of(request)
    kept = {name: value for name, value in request.query_params.items() if name in ("t", "after")}
    switches = [(each, texts_of(each)["language"], f"?{urlencode(kept | {'lang': each})}") for each in LANGUAGES]
    body = _TEMPLATES.get_template(template).render(
        language=language, texts=texts_of(language), switches=switches, stylesheet=STYLESHEET, **values
    )
    headers = {"Content-Security-Policy": CONTENT_POLICY, "Content-Language": language, "Vary": "Accept-Language"}
    if retry is not None:
        headers["Retry-After"] = str(retry)
    return HTMLResponse(body, status, headers=headers)


async def stylesheet(_: Request) -> Response:
    """Answer with the one stylesheet."""
    file = resources.files("app.pages") / "static" / "grounds.css"
    return Response(file.read_bytes(), media_type="text/css")


def written(instant: datetime) -> str:
    """Write an instant alike in every language: `2026-11-22 16:34 UTC`."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


_TEMPLATES: Final = Environment(
    loader=PackageLoader("app.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["written"] = written
