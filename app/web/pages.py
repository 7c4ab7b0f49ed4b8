"""What a page is made of: who opens it, data by GraphQL operations, and HTML by templates, with the same headers.

Pages read data as a client of /graphql does: with the same documents, limits, roles and timeout.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.auth.sessions import Session, Sessions
from app.http.boundary import HTTPError
from app.http.graphql import (
    REQUEST_SECONDS,
    GraphQLEndpoint,
    GraphQLRequest,
    format_errors,
    internal_cause,
    raise_if_unavailable,
)
from app.telemetry import observe
from app.web.forms import MAX_FIELDS, is_from_own_page, read_form
from app.web.tables import Table, csv_response
from grounds_client.documents import document_id
from schema.actor import Actor, Role

# A form's browser states its Origin only where the page lets it tell its own site of itself (base.html says so).
CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORM_LIMIT: Final = 256 * 1024
MAX_KEPT_FIELDS: Final = 200
WITHHELD: Final = "withheld"
_BAD_INPUT: Final = ("BAD_USER_INPUT", "CURSOR_LOST")
_TIMEOUT: Final = "TIMEOUT"
_REASON_REQUIRED: Final = "REASON_REQUIRED"


class OperationError(HTTPError):
    """A failed operation. `status` is the status of the page; `is_input_error` says that an argument was wrong."""

    def __init__(self, message: str, status: int, *, is_input_error: bool = False) -> None:
        super().__init__(status, message, {"Retry-After": "1"} if status == 503 else None)
        self.is_input_error = is_input_error


class ReasonMissingError(OperationError):
    """A failed operation that needs the reason for reading people's data, which the session has not stated."""


@cache
def load_operations() -> Mapping[str, str]:
    """Read the GraphQL operations of the web pages, keyed by their file names without the extension."""
    folders = (resources.files(pages) / "operations" for pages in ("app.web.dashboard", "app.web.privacy"))
    files = sorted((file for folder in folders for file in folder.iterdir()), key=lambda file: file.name)
    return {file.name.removesuffix(".graphql"): file.read_text(encoding="utf-8") for file in files}


@cache
def _operation_ids() -> Mapping[str, str]:
    """Return the document id of each GraphQL operation of the web pages."""
    return {name: document_id(text) for name, text in load_operations().items()}


async def execute_operation(
    endpoint: GraphQLEndpoint, actor: Actor, name: str, variables: dict[str, Any], reason: str | None = None
) -> dict[str, Any]:
    """Execute a web page's GraphQL operation as `actor` and return its data; `reason` is why staff reads it.

    Raises OperationError for what is said about the operation, and what failed in the gateway as it is.
    """
    request = GraphQLRequest(
        query=None, document=_operation_ids()[name], variables=variables, operation=None, read_only=False, reason=reason
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            result = await endpoint.execute(actor, request)
    except TimeoutError:
        raise OperationError("The request took too long. Try again, or show fewer items.", 503) from None
    errors = result.errors or []
    raise_if_unavailable(errors)
    if errors:
        if failure := internal_cause(errors[0]):
            raise failure
        raise _operation_error(format_errors(errors)[0])
    # Encoded and decoded, as for a client of /graphql: a compiled result holds instants and ids that are not text yet.
    data: dict[str, Any] = orjson.loads(orjson.dumps(result.data))
    return data


def _operation_error(error: dict[str, Any]) -> OperationError:
    """Turn a GraphQL error into the error that a web page shows, with its HTTP status."""
    message, code = error["message"], error.get("extensions", {}).get("code")
    if code == _REASON_REQUIRED:
        return ReasonMissingError("State first why you read people's data.", 422)
    if code in _BAD_INPUT or "path" not in error:  # a variable's error comes before any field's
        return OperationError(message, 422, is_input_error=True)
    statuses = {_TIMEOUT: 503, "FORBIDDEN": 403}
    return OperationError(message, statuses.get(code, 500))


class Templates:
    """The templates of a package; `shared` are the variables that all of them have."""

    def __init__(self, package: str, **shared: Any) -> None:
        self._environment = Environment(
            loader=PackageLoader(package),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= shared
        self._environment.filters |= {
            "count": format_count,
            "percent": format_percent,
            "instant": format_instant,
            "cell": format_cell,
            "words": code_as_words,
        }

    def render(self, template: str, /, **values: Any) -> str:
        """Render the template of a web page; `values` are the further variables that it uses."""
        return self._environment.get_template(template).render(**values)


def html_response(body: str, status: int = 200, *, retry: int | None = None) -> Response:
    """Respond with a web page; `retry` is the Retry-After header in seconds."""
    headers = page_headers()
    if retry is not None:
        headers["Retry-After"] = str(retry)
    return HTMLResponse(body, status, headers=headers)


def page_headers() -> dict[str, str]:
    """Return the headers that every web page has."""
    return {"Content-Security-Policy": CONTENT_POLICY}


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation, with the roles that may open its page."""

    path: str
    name: str
    readers: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request from a signed-in account whose role may open the page."""

    request: Request
    session: Session
    here: Page
    endpoint: GraphQLEndpoint
    templates: Templates
    public_url: str | None = None

    @property
    def actor(self) -> Actor:
        """Return the account that is signed in to the web page."""
        return self.session.actor

    async def execute(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Execute a web page's GraphQL operation as the signed-in account; return its data. Raises OperationError."""
        return await execute_operation(self.endpoint, self.actor, operation, variables, self.session.reason)

    async def form(self, max_fields: int = MAX_FIELDS) -> dict[str, str]:
        """Read the form that a web page sent. Raises HTTPError."""
        self.request.state.form = await read_form(self.request, FORM_LIMIT, max_fields)
        fields: dict[str, str] = self.request.state.form
        return fields

    def parameter(self, name: str) -> str | None:
        """Return a query parameter of a web page without surrounding blanks; None if it is empty or missing."""
        return self.request.query_params.get(name, "").strip() or None

    def link(self, **changed: str | None) -> str:
        """Link to this web page with some query parameters changed; None removes a parameter."""
        changed["done"] = None
        kept = {name: value for name, value in {**self.request.query_params, **changed}.items() if value is not None}
        return f"{self.here.path}?{urlencode(kept)}"

    def next_page_link(self, page_info: dict[str, Any], anchor: str) -> str | None:
        """Link a web page to the next part of its list, at an anchor; None on the last one."""
        return f"{self.link(after=page_info['endCursor'])}#{anchor}" if page_info["hasNextPage"] else None

    def render(self, template: str, **values: Any) -> str:
        """Render a template of a web page with the signed-in account and this page."""
        shared = {"actor": self.actor, "here": self.here, "reason": self.session.reason, "page_link": self.link()}
        return self.templates.render(template, **shared, **values)

    def respond(self, template: str, *tables: Table, status: int = 200, **values: Any) -> Response:
        """Respond with the rendered web page, or with the table that `?format=csv&table=` names, as CSV.

        Raises OperationError if the page has no such table.
        """
        if self.request.method == "GET" and self.parameter("format") == "csv" and tables:
            wanted = self.parameter("table") or tables[0].name
            table = next((each for each in tables if each.name == wanted), None)
            if table is None:
                raise OperationError("This page has no table of that name.", 404)
            return csv_response(table)
        files = {table.name: self.link(format="csv", table=table.name) for table in tables}
        by_name = {table.name: table for table in tables}
        return html_response(self.render(template, tables=by_name, files=files, **values), status)


PageHandler = Callable[[PageRequest], Awaitable[Response]]


class PageGuard:
    """The checks in front of every page: session, role, and the origin of forms."""

    def __init__(
        self,
        endpoint: GraphQLEndpoint,
        sessions: Sessions,
        templates: Templates,
        sign_in_path: str,
        reason_path: str,
        public_url: str | None,
    ) -> None:
        self._endpoint, self._sessions, self._templates = endpoint, sessions, templates
        self._sign_in_path, self._reason_path, self._public_url = sign_in_path, reason_path, public_url

    def endpoint(self, here: Page, handler: PageHandler) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint of a web page. It calls `handler` only after every check passed."""

        async def endpoint(request: Request) -> Response:
            """Answer a request for a web page after the checks of its session, role and origin."""
            session = self._sessions.read(request)
            if session is None or session.expired or await self._sessions.has_ended(session):
                kept = session is not None and session.expired and await self._keep_form(request, self._sign_in_path)
                return kept or self._redirect_to_sign_in(request, here)
            observe.bearer(session.actor.role, session.actor.client)
            request.state.page = PageRequest(request, session, here, self._endpoint, self._templates, self._public_url)
            self._check_role_and_origin(request, session.actor, here)
            try:
                return await handler(request.state.page)
            except ReasonMissingError:
                return await self._keep_form(request, self._reason_path) or self._redirect_to_reason(request, here)

        return endpoint

    async def _keep_form(self, request: Request, needed_path: str) -> Response | None:
        """Show a form of the web page again that was sent without a session or a reason, so that nothing is lost.

        Returns None if there is no such form. The browser sends the form once more after the page at `needed_path`.
        """
        if request.method != "POST" or is_from_own_page(request, self._public_url) is not True:
            return None
        fields = getattr(request.state, "form", None)
        if fields is None:
            fields = await read_form(request, FORM_LIMIT, MAX_KEPT_FIELDS)
        body = self._templates.render(
            "kept_form.html", action=request.url.path, fields=fields, needed=needed_path, sign_in=self._sign_in_path
        )
        return html_response(body, 401 if needed_path == self._sign_in_path else 422)

    def _redirect_to_reason(self, request: Request, here: Page) -> Response:
        """Redirect to the page that asks for the reason, which leads back to the requested web page."""
        asked = {"next": _requested_page(request, here)} | ({} if request.method == "GET" else {"unsaved": "1"})
        return RedirectResponse(f"{self._reason_path}?{urlencode(asked)}", 303)

    def _check_role_and_origin(self, request: Request, actor: Actor, here: Page) -> None:
        """Raise OperationError if the role may not open the web page or another site sent the form."""
        if actor.role not in here.readers:
            roles = " and ".join(here.readers)
            raise OperationError(f"{here.name} is available to {roles}. You are signed in as {actor.role}.", 403)
        if request.method == "POST" and is_from_own_page(request, self._public_url) is not True:
            raise OperationError(
                "The form was not sent from a page of the dashboard, so the change was not saved.", 403
            )

    def _redirect_to_sign_in(self, request: Request, here: Page) -> Response:
        """Redirect to the sign-in page, which leads back to the requested web page."""
        wanted = _requested_page(request, here)
        # A browser sends no Strict cookie when it follows a link on another site, but does when it follows ours.
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return html_response(self._templates.render("redirect.html", target=wanted))
        return RedirectResponse(f"{self._sign_in_path}?{urlencode({'next': wanted})}", 303)


def _requested_page(request: Request, here: Page) -> str:
    """Return the address of the requested web page with its query; for a form, the page that contains the form."""
    if request.method != "GET":
        return here.path
    return f"{request.url.path}?{urlencode(dict(request.query_params))}".removesuffix("?")


def failure_message(error: Exception) -> str:
    """Log a failure of a web page and return the message that shows its reference."""
    return f"Something failed in the gateway. Give the operator the reference {observe.failure(error)}."


def format_count(number: int | None) -> str:
    """Format a count for a web page: `9,212`."""
    return WITHHELD if number is None else f"{number:,}"


def format_percent(share: float | None) -> str:
    """Format a share for a web page: `46.1%`."""
    return WITHHELD if share is None else f"{share:.1%}"


def format_instant(stated: str | None) -> str:
    """Format an instant from the API for a web page: `2026-11-22 16:34 UTC`."""
    return f"{datetime.fromisoformat(stated):%Y-%m-%d %H:%M} UTC" if stated else "never"


def format_cell(value: str | int | float | None) -> str:
    """Format a cell of a web page's table."""
    if isinstance(value, float):
        return f"{value:,.3f}"
    return value if isinstance(value, str) else format_count(value)


def code_as_words(code: str) -> str:
    """Write a code as words for a web page: NOTICE_DELIVERED becomes "notice delivered"."""
    return code.replace("_", " ").lower()
