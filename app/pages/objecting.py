"""Object without logging in: a form, its answer, and a receipt. Nobody learns here whether there is an account.

Nothing is authenticated by what a browser adds by itself, so another site's page can do no more than its own server
could; a form that another page sends is refused all the same.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from app.edges import Refused
from app.forms import TokenBucket, read_form
from app.issuer import is_identifier
from app.links import Purpose, link_path, read_link, seal, unseal
from app.observe import observe
from app.pages.page import language_of, page, texts_of, written
from db.contacts import contact_hash
from db.objecting import Filer, Target, decision_time, file_objection
from db.records import ObjectionChannel, ObjectionScope
from db.session import Busy
from schema.context import Gateway

BODY_LIMIT: Final = 8 * 1024
PER_MINUTE: Final = 120
SECONDS_OF_AN_ANSWER: Final = 0.25
"""How long the open form takes to answer at least, whether or not it found somebody."""


@dataclass(eq=False)
class Unfit(Exception):
    """Say why nothing was filed: a key of the texts' `errors`, the field that is wrong, the status of the answer.

    `retry` says after how many seconds to try again, `reference` where a failure stands in the log.
    """

    error: str
    place: str | None = None
    status: int = 422
    retry: int | None = None
    reference: str = ""


class ObjectingPages:
    """Serve the form at /object and the receipt at /object/receipt."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        # Apart, so that nobody who floods the open form keeps those away whose link says who they are.
        self._open, self._linked = TokenBucket(PER_MINUTE), TokenBucket(PER_MINUTE)

    async def form(self, request: Request) -> Response:
        """Show the form, or take it in."""
        typed: dict[str, str] = {}
        linked = False
        try:
            account = await self._account(request)
            linked = account is not None
            if request.method != "POST":
                stale = not linked and "t" in request.query_params
                return _form(request, linked, typed, Unfit("link", status=200) if stale else None)
            began = time.monotonic()
            _check_origin(request)
            typed = await read_form(request, BODY_LIMIT)
            receipt = await self._take_in(account, typed)
            if account is None:
                await asyncio.sleep(began + SECONDS_OF_AN_ANSWER - time.monotonic())
            return RedirectResponse(link_path(receipt, Purpose.RECEIPT, language_of(request)), 303)
        except Unfit as unfit:
            return _form(request, linked, typed, unfit)
        except Refused as refused:
            return _form(request, linked, typed, Unfit("unreadable", status=refused.status))
        except (Busy, ClientDisconnect, asyncio.CancelledError):  # the server stops, or nobody waits for the answer
            return _form(request, linked, typed, Unfit("busy", status=503, retry=1))
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            return _form(request, linked, typed, Unfit("failed", status=500, reference=observe.failure(error)))

    async def receipt(self, request: Request) -> Response:
        """Show what was filed, or hand it out to keep; only our own receipts are."""
        token = request.query_params.get("t", "")
        sealed = unseal(self._gateway.secret, Purpose.RECEIPT, token)
        if sealed is None:
            return page(request, "problem.html", status=404, problem="receipt")
        filed = orjson.loads(sealed)
        language = language_of(request)
        wanted = request.query_params.get("format")
        if wanted == "json":
            return _download(orjson.dumps(filed | {"proof": token}, option=orjson.OPT_INDENT_2), filed, "json")
        if wanted == "text":
            return _download(_receipt_text(filed, token, language).encode(), filed, "txt")
        kept = {"t": token, "lang": language}
        files = {each: f"{Purpose.RECEIPT}?{urlencode(kept | {'format': each})}" for each in ("text", "json")}
        received_at = datetime.fromisoformat(filed["received_at"])
        return page(request, "answer.html", filed=filed, received_at=received_at, files=files)

    async def _take_in(self, account: str | None, typed: dict[str, str]) -> str:
        """File what a form says, and give the sealed receipt, which never says whom it is for."""
        if not (self._open if account is None else self._linked).take():
            raise Unfit("too_many", status=429, retry=60)
        scope = _scope(typed.get("scope", ObjectionScope.ALL))
        database = self._gateway.database
        if account is None:
            filer, target = Filer.form(database), target_of(typed.get("who", ""))
        else:
            filer, target = Filer.subject(database, account), Target("ACCOUNT", account)
        filed = await file_objection(filer, target, scope, ObjectionChannel.FORM)
        observe.objected(ObjectionChannel.FORM)
        said = {"reference": filed.reference, "received_at": filed.received_at.isoformat(), "scope": scope}
        return seal(self._gateway.secret, Purpose.RECEIPT, orjson.dumps(said))

    async def _account(self, request: Request) -> str | None:
        """Give the account that a signed link speaks for."""
        token = request.query_params.get("t")
        if token is None:
            return None
        now = await decision_time(self._gateway.database)
        return read_link(self._gateway.secret, token, Purpose.OBJECT, now)


def target_of(typed: str) -> Target:
    """Say whom a person means: an e-mail address or phone number by its hash, anything else as a user name.

    Raises Unfit for what can be neither.
    """
    name = typed.strip()
    if not name:
        raise Unfit("who_missing", "who")
    contact = contact_hash(name)
    if contact is not None:
        return Target("CONTACT", contact)
    name = name.removeprefix("@")
    if "@" in name or not name:  # never kept: it may be most of somebody's address
        raise Unfit("who_email", "who")
    if not is_identifier(name):
        raise Unfit("who_long", "who")
    return Target("ACCOUNT", name)


def _scope(said: str) -> ObjectionScope:
    try:
        return ObjectionScope(said)
    except ValueError:
        raise Unfit("scope", "scope") from None


def _form(request: Request, linked: bool, typed: dict[str, str], unfit: Unfit | None) -> Response:
    """Show the form as it was filled in, and what was wrong with it."""
    kept = {"t": request.query_params["t"]} if linked else {}
    chosen = typed.get("scope")
    return page(
        request,
        "object.html",
        status=unfit.status if unfit else 200,
        retry=unfit.retry if unfit else None,
        action=f"{Purpose.OBJECT}?{urlencode(kept | {'lang': language_of(request)})}",
        linked=linked,
        typed=typed.get("who", ""),
        scopes=list(ObjectionScope),
        chosen=chosen if chosen in list(ObjectionScope) else ObjectionScope.ALL,
        unfit=unfit,
    )


def _check_origin(request: Request) -> None:
    """Refuse a form that another site's page sends, as far as its browser says."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers["host"].lower():
        raise Unfit("origin", status=403)


def _receipt_text(filed: dict[str, str], token: str, language: str) -> str:
    texts = texts_of(language)
    said = texts["answer"]
    lines = {
        said["reference"]: filed["reference"],
        said["received"]: written(datetime.fromisoformat(filed["received_at"])),
        said["covers"]: texts["words"][filed["scope"]],
        said["in_force"]: said["at_once"],
    }
    stated = [f"{name}: {value}" for name, value in lines.items()]
    then = [said[f"next_{number}"] for number in range(1, 5)]
    proof = [f"{said['proof_use']}:", link_path(token, Purpose.RECEIPT, language)]
    return "\n".join([said["title"], "", *stated, "", *then, "", *proof, ""])


def _download(body: bytes, filed: dict[str, str], ending: str) -> Response:
    media = "application/json" if ending == "json" else "text/plain; charset=utf-8"
    name = f"{filed['reference']}.{ending}"
    return Response(body, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})
