"""What stands before every page: who is signed in, whether the page is for them, and what is said when it fails."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.frame import Page, answer, query, render
from app.dashboard.reading import Unanswered, ask
from app.dashboard.signing_in import HOME, Sessions, is_of_own_page
from app.dashboard.tables import Table, as_csv
from app.edges import Refused
from app.forms import read_form
from app.http import GraphQLEndpoint
from app.observe import observe
from schema.actor import Actor

FORM_LIMIT: Final = 256 * 1024
SIGN_IN: Final = f"{HOME}/sign-in"


@dataclass(frozen=True, slots=True)
class Visit:
    """Hold one request of somebody who is signed in, to a page that is for them."""

    request: Request
    actor: Actor
    here: Page
    endpoint: GraphQLEndpoint

    async def ask(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Execute an operation as who is signed in, and give its data. Raises Unanswered."""
        return await ask(self.endpoint, self.actor, operation, variables)

    async def form(self) -> dict[str, str]:
        """Read the form that was sent. Raises Refused."""
        return await read_form(self.request, FORM_LIMIT)

    def asked(self, name: str) -> str | None:
        """Give a parameter of the address, without the blanks around it; None where nothing is left."""
        return self.request.query_params.get(name, "").strip() or None

    def link(self, **changed: str | None) -> str:
        """Link to this page with some parameters changed; None takes one away."""
        return self.here.path + query(self.request, done=None, **changed)

    def next(self, place: dict[str, Any], anchor: str) -> str | None:
        """Link to the page of a list that comes after this one; None where there is none."""
        return f"{self.link(after=place['endCursor'])}#{anchor}" if place["hasNextPage"] else None

    def render(self, template: str, **values: Any) -> str:
        """Write the page."""
        return render(template, actor=self.actor, here=self.here, **values)

    def page(self, template: str, *tables: Table, status: int = 200, **values: Any) -> Response:
        """Answer with the page, or with that of its tables which `?format=csv&table=` names, as CSV."""
        if self.request.method == "GET" and self.asked("format") == "csv" and tables:
            wanted = self.asked("table") or tables[0].name
            table = next((each for each in tables if each.name == wanted), None)
            if table is None:
                raise Unanswered("This page has no such table.", 404)
            return as_csv(table)
        files = {table.name: self.link(format="csv", table=table.name) for table in tables}
        shown = {table.name: table for table in tables}
        return answer(self.render(template, tables=shown, files=files, **values), status)


Serve = Callable[[Visit], Awaitable[Response]]


class Desk:
    """Let those in whom a page is for."""

    def __init__(self, endpoint: GraphQLEndpoint, sessions: Sessions) -> None:
        self._endpoint = endpoint
        self._sessions = sessions

    def serve(self, here: Page, serve: Serve) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint of a page; what is sent to it by POST has to come from a page of ours."""

        async def endpoint(request: Request) -> Response:
            session = self._sessions.read(request)
            if session is None or session.over:
                return self._signed_out(request, here)
            actor = session.actor
            try:
                if actor.role not in here.readers:
                    told = f"{here.name} is for {_listed(here)}, and you are signed in as {actor.role}."
                    raise Unanswered(told, 403)
                if request.method == "POST" and not is_of_own_page(request):
                    raise Unanswered("This form was not sent from a page of the dashboard, so nothing was done.", 403)
                return await serve(Visit(request, actor, here, self._endpoint))
            except Unanswered as why:
                return _problem(actor, here, why)
            except Refused as refused:
                return _problem(actor, here, Unanswered(refused.message, refused.status))
            except (ClientDisconnect, asyncio.CancelledError):  # the server stops, or nobody waits for the answer
                return _problem(actor, here, Unanswered("The gateway stops. Try again in a moment.", 503))
            except HTTPException:
                raise
            except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
                return _problem(actor, here, Unanswered(failed(error), 500))

        return endpoint

    def _signed_out(self, request: Request, here: Page) -> Response:
        """Send somebody to sign in, and back to where they wanted to go."""
        wanted = here.path
        if request.method == "GET":
            wanted = f"{request.url.path}{query(request)}".removesuffix("?")
            # A browser keeps a Strict cookie to itself where another site's link is followed, and not where ours is.
            if request.headers.get("sec-fetch-site") == "cross-site":
                return answer(render("onward.html", target=wanted))
        return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}", 303)


def failed(error: Exception) -> str:
    """Note a failure in the log, and say where it stands there."""
    return f"Something failed here. Tell the operator the reference {observe.failure(error)}."


def _listed(page: Page) -> str:
    return " and ".join(page.readers)


def _problem(actor: Actor, here: Page, why: Unanswered) -> Response:
    body = render("problem.html", actor=actor, here=here, message=why.message, status=why.status)
    return answer(body, why.status, retry=1 if why.status == 503 else None)
