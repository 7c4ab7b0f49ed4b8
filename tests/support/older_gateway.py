"""A gateway of an earlier version: a real one behind a server that refuses what an earlier schema does not have."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from graphql import GraphQLSchema, build_schema, graphql_sync, parse, validate

from tests.support.local_server import listening
from tests.support.repository import SCHEMA_FILE

Change = Callable[[str, bytes], bytes]
FORWARDED = ("authorization", "content-type", "range", "if-match", "if-none-match")


def earlier_schema(*missing: str) -> GraphQLSchema:
    """Build the schema without some fields, by their coordinates."""
    schema = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
    for coordinate in missing:
        parent, _, field = coordinate.partition(".")
        del schema.type_map[parent].fields[field]  # type: ignore[attr-defined]
    return schema


class EarlierGateway(ThreadingHTTPServer):
    """The server before a gateway: it answers by an earlier schema, or changes the gateway's answers."""

    def __init__(self, address: str, schema: GraphQLSchema | None, change: Change | None) -> None:
        super().__init__(("127.0.0.1", 0), ForwardingHandler)
        self.gateway, self.schema, self.change = address, schema, change

    def answer_by_schema(self, query: str) -> bytes | None:
        """Answer what the earlier schema answers alone: introspection, and operations that it does not allow."""
        if self.schema is None:
            return None
        if "__schema" in query:
            return json.dumps({"data": graphql_sync(self.schema, query).data}).encode()
        errors = validate(self.schema, parse(query))
        code = {"code": "GRAPHQL_VALIDATION_FAILED"}
        return json.dumps({"errors": [{"message": errors[0].message, "extensions": code}]}).encode() if errors else None


class ForwardingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EarlierGateway

    def do_GET(self) -> None:
        self.forward(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.server.answer_by_schema(json.loads(body)["query"])
        if answer is None:
            self.forward(body)
        else:
            self.answer(200, answer, {})

    def forward(self, body: bytes) -> None:
        headers = {name: self.headers[name] for name in FORWARDED if self.headers[name]}
        url = self.server.gateway + self.path
        got = httpx.request(self.command, url, content=body, headers=headers, timeout=60)
        content = self.server.change(self.path, got.content) if self.server.change else got.content
        kept = {name: got.headers[name] for name in ("etag", "content-type") if name in got.headers}
        self.answer(got.status_code, content, kept)

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def gateway_before(address: str, schema: GraphQLSchema | None = None, change: Change | None = None) -> Iterator[str]:
    """Serve a gateway with an earlier schema, and with bodies that are changed; its address."""
    with listening(EarlierGateway(address, schema, change)) as url:
        yield url
