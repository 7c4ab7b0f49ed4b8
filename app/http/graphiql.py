"""The GraphiQL page that a browser receives at /graphql if the operator enables it."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from strawberry.http.ides import get_graphql_ide_html

from app.http.negotiation import prefers_html

_WHILE_LOADING: Final = (
    "Loading… If nothing appears, your browser could not load the scripts of GraphiQL from unpkg.com. Then open the"
    ' <a href="/dashboard/graphql">API reference</a>, which needs no scripts.'
)
Endpoint = Callable[[Request], Awaitable[Response]]


def with_graphiql(endpoint: Endpoint) -> Endpoint:
    """Answer browsers that open /graphql with the GraphiQL page; other HTTP requests go to the endpoint."""
    page = graphiql_page()

    async def answer(request: Request) -> Response:
        """Answer an HTTP request to /graphql with the GraphiQL page or by the endpoint."""
        return page if request.method != "POST" and prefers_html(request) else await endpoint(request)

    return answer


def graphiql_page() -> Response:
    """Make the GraphiQL page, with a Content-Security-Policy that lets it load what it names and nothing else.

    What it names lies at a CDN (unpkg.com), version and SHA-384 of each file stated. GraphiQL writes style elements of
    its own while it runs, hence 'unsafe-inline' for styles; its fonts and icons are data: URLs.
    """
    page = get_graphql_ide_html("graphiql").replace("Loading...", _WHILE_LOADING)
    inline = (hashlib.sha256(text.encode()).digest() for text in re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    scripts = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in inline]
    scripts += re.findall(r'<script[^>]*?src="(https://[^"]+)"', page)
    styles = re.findall(r'<link[^>]*?href="(https://[^"]+)"', page)
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(scripts),
        "style-src": " ".join(["'unsafe-inline'", *styles]),
        "img-src": "data:",
        "font-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    header = "; ".join(f"{name} {value}" for name, value in policy.items())
    return HTMLResponse(page, headers={"Content-Security-Policy": header})
