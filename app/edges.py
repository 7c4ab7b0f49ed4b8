"""The edges, before anyone asks who sends a request: which Host it names, what every answer says of itself to browsers,
and the shape of a refusal."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware
from strawberry.http.ides import get_graphql_ide_html
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JSON: Final = "application/json"
HEAD_LIMIT: Final = 64 * 1024
PACKET: Final = 1400

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What the server says with every answer, with its own to broken HTTP too.

Strict-Transport-Security is for whoever ends TLS to say: the gateway speaks plain HTTP, where it means nothing
(RFC 6797, 7.2).
"""
CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
PROBES: Final = frozenset({"/health", "/ready"})
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")


class Refused(Exception):
    """Refuse a request before there is a result: `status`, and what to do."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def refusal(media: str, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Write a refusal as GraphQL's errors are written."""
    body = orjson.dumps({"errors": [{"message": message}]})
    return Response(body, status, media_type=f"{media}; charset=utf-8", headers=headers)


class BoundedProtocol(HttpToolsProtocol):
    """Speak HTTP to clients that come to the point: uvicorn keeps request lines, headers and trailers of any length."""

    _come_to_the_point = False
    _idle_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take bytes in; end the connection after HEAD_LIMIT of them that are no body and complete no head."""
        self._come_to_the_point = False
        super().data_received(data)
        self._idle_bytes = 0 if self._come_to_the_point else self._idle_bytes + len(data)
        if self._idle_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response(f"The request line and the headers are longer than {HEAD_LIMIT} bytes.")

    def on_headers_complete(self) -> None:
        """Note that a head is complete."""
        self._come_to_the_point = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that a body comes."""
        self._come_to_the_point = True
        super().on_body(body)


class Edges:
    """Serve requests that name the gateway, and give each answer its content policy.

    Probes are answered whatever they name: load balancers and kubelets call an instance by its address, and what they
    are told is no secret.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(name.encode() for name in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the Host, and pass the request on or refuse it."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    message = {**message, "headers": [*headers, _POLICY_HEADER]}
            await send(message)

        served = self._app if scope["type"] != "http" or scope["path"] in PROBES else self._served(scope)
        await served(scope, receive, guarded)

    def _served(self, scope: Scope) -> ASGIApp:
        named = [value for name, value in scope["headers"] if name == b"host"]
        match = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if match is None:
            return refusal(JSON, 400, "Host: is missing, malformed or there twice (send the gateway's name once)")
        if match[1].lower() not in self._hosts:
            return refusal(JSON, 421, "Host: is no name of this gateway (its operator sets them by GROUNDS_HOSTS)")
        return self._app


_POLICY_HEADER: Final = (b"content-security-policy", CONTENT_POLICY.encode())


def host_names(named: frozenset[str], listening: str) -> frozenset[str]:
    """Give the names that a gateway answers to: those of the settings, or else those of this machine."""
    if named:
        return named
    try:
        address = ip_address(listening)
    except ValueError:
        return LOCAL_NAMES | {listening.lower()}
    if address.is_unspecified:
        return LOCAL_NAMES
    return LOCAL_NAMES | {f"[{address}]" if address.version == 6 else str(address)}


def with_origins(app: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """Let pages of these origins ask from a browser; with none, browsers are told nothing of other origins."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
    )


def compressed(app: ASGIApp) -> ASGIApp:
    """Compress answers for clients that accept zstd or gzip, at the levels that cost least.

    A page of 1,000 items, 2.7 MB, takes zstd 1 ms and becomes 0.1 MB, which costs less than sending it as it is does;
    gzip takes 5 ms. No secret stands beside what a client can choose, so the length tells nothing (BREACH).
    """
    return CompressMiddleware(app, minimum_size=PACKET, zstd_level=1, gzip_level=1, brotli=False)


def ide_page() -> Response:
    """Make the page of GraphiQL, with a policy that lets it load what it names and nothing else.

    What it names lies at a CDN (unpkg.com), version and SHA-384 of each file stated. GraphiQL writes style elements of
    its own while it runs, hence 'unsafe-inline' for styles; its fonts and icons are data: URLs.
    """
    page = get_graphql_ide_html("graphiql")
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
