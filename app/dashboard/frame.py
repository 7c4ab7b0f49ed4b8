"""The frame of every page of the dashboard: its template, its navigation, its headers, and how numbers are written."""

from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.dashboard.signing_in import HOME
from app.pages.page import CONTENT_POLICY, written
from schema.actor import Actor, Role
from schema.governed import EXAMINERS, STAFF

STYLESHEET: Final = f"{HOME}/dashboard.css"
WITHHELD: Final = "withheld"


@dataclass(frozen=True, slots=True)
class Page:
    """Hold an entry of the navigation, and whom its page is for."""

    path: str
    name: str
    readers: tuple[Role, ...]


OVERVIEW: Final = Page(HOME, "Overview", STAFF)
CONDITIONS: Final = Page(f"{HOME}/conditions", "Conditions", STAFF)
SKEW: Final = Page(f"{HOME}/skew", "Skew", STAFF)
PEOPLE: Final = Page(f"{HOME}/people", "Notices and objections", EXAMINERS)
CLIENTS: Final = Page(f"{HOME}/clients", "Clients", EXAMINERS)
EXPLAIN: Final = Page(f"{HOME}/explain", "Explain", EXAMINERS)
POLICIES: Final = Page(f"{HOME}/policies", "Policies and holds", STAFF)
PAGES: Final = (OVERVIEW, CONDITIONS, SKEW, PEOPLE, CLIENTS, EXPLAIN, POLICIES)


def render(template: str, *, actor: Actor | None = None, here: Page | None = None, **values: Any) -> str:
    """Write a page; `values` are what its template names."""
    return _TEMPLATES.get_template(template).render(
        stylesheet=STYLESHEET, home=HOME, pages=PAGES, actor=actor, here=here, **values
    )


def answer(body: str, status: int = 200, *, retry: int | None = None) -> Response:
    """Answer with a page; `retry` says after how many seconds to try again."""
    headers = page_headers()
    if retry is not None:
        headers["Retry-After"] = str(retry)
    return HTMLResponse(body, status, headers=headers)


def page_headers() -> dict[str, str]:
    """Give the headers that every page has."""
    return {"Content-Security-Policy": CONTENT_POLICY}


async def stylesheet(_: Request) -> Response:
    """Answer with the one stylesheet."""
    file = resources.files("app.dashboard") / "static" / "dashboard.css"
    return Response(file.read_bytes(), media_type="text/css")


def count(number: int | None) -> str:
    """Write a number of things: `9,212`."""
    return WITHHELD if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """Write a share: `46.1%`."""
    return WITHHELD if share is None else f"{share:.1%}"


def instant(stated: str | None) -> str:
    """Write an instant of the API's: `2026-11-22 16:34 UTC`."""
    return written(datetime.fromisoformat(stated)) if stated else "never"


def cell(value: str | int | float | None) -> str:
    """Write a cell of a table."""
    if isinstance(value, float):
        return f"{value:,.3f}"
    return value if isinstance(value, str) else count(value)


def word(code: str) -> str:
    """Write a code as words: NOTICE_DELIVERED is "notice delivered"."""
    return code.replace("_", " ").lower()


def query(request: Request, **changed: str | None) -> str:
    """Write the query of this page with some parameters changed; None takes one away."""
    kept = {name: value for name, value in {**request.query_params, **changed}.items() if value is not None}
    return f"?{urlencode(kept)}"


_TEMPLATES: Final = Environment(
    loader=PackageLoader("app.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"count": count, "percent": percent, "instant": instant, "cell": cell, "word": word}
