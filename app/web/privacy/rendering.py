"""Render a page in the reader's language: its texts, its template, its headers."""

import json
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.http.negotiation import preferred_language
from app.web.pages import Templates, html_response

LANGUAGES: Final = ("en", "de", "fr", "es", "it")
STYLESHEET: Final = "/pages/grounds.css"
_TEMPLATES: Final = Templates("app.web.privacy", stylesheet=STYLESHEET)

Texts = dict[str, Any]


@cache
def texts_of(language: str) -> Texts:
    """Return every sentence of the privacy pages in a language."""
    file = resources.files("app.web.privacy") / "texts" / f"{language}.json"
    found: Texts = json.loads(file.read_text(encoding="utf-8"))
    return found


def language_of(request: Request) -> str:
    """Choose the language of a privacy page: the one that the address names, else the reader's first that there is."""
    named = request.query_params.get("lang", "")
    if named in LANGUAGES:
        return named
    return preferred_language(request, LANGUAGES)


def privacy_page(
    request: Request, template: str, *, status: int = 200, retry: int | None = None, **values: Any
) -> Response:
    """Respond with a privacy page in the reader's language; `values` are what its template names.

    `retry` says after how many seconds to try again.
    """
    language = language_of(request)
    kept = {name: value for name, value in request.query_params.items() if name in ("t", "after")}
    switches = [(each, texts_of(each)["language"], f"?{urlencode(kept | {'lang': each})}") for each in LANGUAGES]
    body = _TEMPLATES.render(template, language=language, texts=texts_of(language), switches=switches, **values)
    response = html_response(body, status, retry=retry)
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
    return response


async def stylesheet(_: Request) -> Response:
    """Respond with the stylesheet of the privacy pages."""
    file = resources.files("app.web.privacy") / "static" / "grounds.css"
    return Response(file.read_bytes(), media_type="text/css")
