"""What the gateway knows about a person, for that person: read by GraphQL operations as the data subject."""

import secrets
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth.authenticator import Authenticator, Unauthorized
from app.auth.signed_links import LinkAction, account_of_reading_link, issue_link, link_path
from app.http.boundary import HTTPError
from app.http.graphql import GraphQLEndpoint
from app.settings import Settings
from app.texts.catalogue import Texts
from app.web.forms import is_from_own_page, read_form
from app.web.pages import OperationError, execute_operation, page_headers
from app.web.privacy.own_records import OwnRecordsReader
from app.web.privacy.public_pages import sent_text
from app.web.privacy.rendering import language_of, privacy_page, read_stylesheet, render_page, texts_of
from schema.actor import Actor, Role
from schema.context import Gateway
from schema.records.viewer import LATEST_ITEMS

DELIVERIES_SHOWN: Final = 100
OBJECT_LINK_LIFETIME: Final = timedelta(days=1)
BODY_LIMIT: Final = 1024
COOKIE: Final = "grounds_reader"
COOKIE_SECONDS: Final = 7 * 24 * 3600
_CONSENT_OPERATIONS: Final = {"give": "give_consent", "withdraw": "withdraw_consent"}


class MyDataPage:
    """Serve /me, to the browser that opened a link first, or the bearer of a DATA_SUBJECT's token."""

    def __init__(
        self, gateway: Gateway, endpoint: GraphQLEndpoint, authenticator: Authenticator, settings: Settings
    ) -> None:
        self._gateway = gateway
        self._endpoint = endpoint
        self._authenticator = authenticator
        self._settings = settings

    async def show(self, request: Request) -> Response:
        """Show the privacy page of what is known about a person, or explain that it needs a link."""
        actor = await self._required_actor(request)
        response = await (self._state_consent if request.method == "POST" else self._show_data)(request, actor)
        if "t" in request.query_params:
            self._set_cookie(response, request.state.browser)
        return response

    def _set_cookie(self, response: Response, browser: str) -> None:
        """Set the cookie of the browser for which the link to a person's privacy page opens."""
        response.set_cookie(
            COOKIE,
            browser,
            max_age=COOKIE_SECONDS,
            path=LinkAction.ME,
            secure=(self._settings.public_url or "").startswith("https:"),
            httponly=True,
            samesite="lax",  # the link is followed from the platform's page
        )

    async def _show_data(self, request: Request, actor: Actor) -> Response:
        """Show the privacy page of what is known about a person, or download it."""
        records, after = OwnRecordsReader(self._endpoint, actor), request.query_params.get("after") or None
        wanted = request.query_params.get("format")
        if wanted in ("json", "html"):
            return await self._download(request, await records.everything(after), wanted)
        return privacy_page(request, "me.html", **await self._values(request, actor, await records.page(after)))

    async def _download(self, request: Request, data: dict[str, Any], wanted: str) -> Response:
        """Respond with everything about a person as a file, whose data names what follows if there is more."""
        headers = {"Content-Disposition": f'attachment; filename="my-data.{wanted}"'}
        if wanted == "json":
            body = orjson.dumps(data, option=orjson.OPT_INDENT_2)
            return Response(body, media_type="application/json", headers=headers)
        page = render_page(
            request, "me.html", **self._shown(request, data), links=None, in_file=True, styles=read_stylesheet()
        )
        return Response(page, media_type="text/html", headers=headers | page_headers())

    async def _values(self, request: Request, actor: Actor, data: dict[str, Any]) -> dict[str, Any]:
        """Arrange what the privacy page of a person shows, with its links."""
        links = await self._links(request, actor, data["contents"]["pageInfo"])
        return self._shown(request, data) | {"links": links, "in_file": False}

    def _shown(self, request: Request, data: dict[str, Any]) -> dict[str, Any]:
        """Arrange the records of a person for the privacy page and for the file."""
        known, items = data["viewer"], data["contents"]["nodes"]
        language = language_of(request)
        texts = texts_of(language)
        return {
            "known": known,
            "notices": [notice | {"text": _notice_text(notice, language)} for notice in known["notices"]],
            "items": [item | _decisions(item, texts) | _recipient_text(item, known["deliveries"]) for item in items],
            "policy": data["policy"],
            "latest": LATEST_ITEMS,
            "shown": DELIVERIES_SHOWN,
        }

    async def _state_consent(self, request: Request, actor: Actor) -> Response:
        """Store or withdraw a person's consent on their privacy page, and show the new state."""
        if is_from_own_page(request, self._settings.public_url) is False:
            raise HTTPError(403, "the form was sent by another page")
        operation = _CONSENT_OPERATIONS.get((await read_form(request, BODY_LIMIT)).get("consent", ""))
        if operation is None:
            raise HTTPError(422, 'consent: must be "give" or "withdraw" (correct it)')
        try:
            await execute_operation(self._endpoint, actor, operation, {})
        except OperationError as error:  # another page was quicker: what holds now is shown
            if not error.is_input_error:
                raise
        return RedirectResponse(f"{LinkAction.ME}?{urlencode(self._kept(request))}#consent", 303)

    async def _required_actor(self, request: Request) -> Actor:
        """Return the data subject of a privacy page; raises HTTPError if there is no valid link or token."""
        actor = await self._actor(request)
        if actor is None:
            raise HTTPError(
                401,
                "this page needs a signed link or a token (open the link from the platform's settings)",
                {"WWW-Authenticate": "Bearer"},
            )
        return actor

    async def _actor(self, request: Request) -> Actor | None:
        """Return the data subject for which a signed link or a token opens the privacy page."""
        token = request.query_params.get("t")
        if token is not None:
            account = await self._account_of_link(request, token)
            return None if account is None else Actor(name="link", role=Role.DATA_SUBJECT, subject=account)
        try:
            actor = await self._authenticator.actor(request.headers.get("authorization"))
        except Unauthorized:
            return None
        return actor if actor.role is Role.DATA_SUBJECT else None

    async def _account_of_link(self, request: Request, token: str) -> str | None:
        """Return the account whose privacy page a link opens for the browser that asks; None if it opens none."""
        request.state.browser = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        if request.method == "HEAD":
            return None
        return await account_of_reading_link(self._gateway, token, request.state.browser)

    async def _links(self, request: Request, actor: Actor, page_info: dict[str, Any]) -> dict[str, Any]:
        """Make the links of a person's privacy page: to object, to the next items, and back to the first."""
        token = await issue_link(self._gateway, LinkAction.OBJECT, actor.subject or "", OBJECT_LINK_LIFETIME)
        kept = self._kept(request)
        after = page_info["endCursor"] if page_info["hasNextPage"] else None
        return {
            "json": f"?{urlencode(kept | {'format': 'json'})}",
            "html": f"?{urlencode(kept | {'format': 'html'})}",
            "object": link_path(token, LinkAction.OBJECT, language_of(request)),
            "consent": f"?{urlencode(kept)}",
            "next": f"?{urlencode(kept | {'after': after})}#items" if after else None,
            "first": f"?{urlencode(kept)}#items" if "after" in request.query_params else None,
        }

    def _kept(self, request: Request) -> dict[str, str]:
        """Return what every link of a person's privacy page keeps: the language, and the link that opened it."""
        return {"lang": language_of(request)} | {
            name: value for name, value in request.query_params.items() if name == "t"
        }


def _notice_text(notice: dict[str, Any], language: str) -> dict[str, str] | None:
    """Return a notice's text for a person's privacy page: as it was sent, else in another language that there is."""
    return sent_text((notice["campaign"] or {"texts": []})["texts"], language, notice["language"])


def _decisions(item: dict[str, Any], texts: Texts) -> dict[str, list[dict[str, Any]]]:
    """List for a person's privacy page, by purpose and in plain words, which conditions of an item are met."""
    return {"decisions": [decision | _reasons(decision, texts) for decision in item["eligibilityByPurpose"]]}


def _reasons(decision: dict[str, Any], texts: Texts) -> dict[str, list[str]]:
    """Write for a person's privacy page which conditions of an item are met, and which are not."""
    missed, held = [], []
    for condition in decision["conditions"]:
        if not condition["required"]:
            continue
        sentences, outcome = texts["conditions"][condition["code"]], condition["outcome"]
        if outcome == "PASS":
            held.append(sentences["PASS"])
        else:
            missed.append(sentences.get(outcome, texts["not_checked"]))
    return {"missed": missed, "held": held}


def _recipient_text(item: dict[str, Any], deliveries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Find the deliveries of an item for a person's privacy page."""
    return {"given": [delivery for delivery in deliveries if item["id"] in delivery["contentIds"]]}


def my_data_error(request: Request, error: HTTPError) -> Response:
    """Write an error as a privacy page in the reader's language."""
    problem = {401: "me", 503: "busy_reading"}.get(error.status, "failed_reading")
    response = privacy_page(request, "problem.html", status=error.status, problem=problem, reference=error.reference)
    response.headers.update(error.headers)
    return response
