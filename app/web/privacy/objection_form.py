"""Object without logging in: a form, its answer, and a receipt. The answer does not show whether there is an account.

Nothing is authenticated by what a browser adds by itself, so another site's page can do no more than its own server
could; a form that another page sends is refused all the same.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth.signed_links import LinkAction, account_of_link, decrypt_content, encrypt_content, link_path
from app.http.boundary import HTTPError
from app.settings import Settings
from app.telemetry import observe
from app.texts.formatting import LocalFormat
from app.web.forms import MAX_KEYS, RateLimiter, client_address, is_from_own_page, read_form
from app.web.privacy.countries import COUNTRIES_OFFERED, country_choices
from app.web.privacy.rendering import language_of, privacy_page, texts_of
from db.connection import borrowing_as
from db.ingest.contacts import Contact
from db.oversight.objection_filing import (
    Filed,
    ObjectionSubmitter,
    Target,
    TargetError,
    contact_target,
    file_objection,
    stated_contact,
)
from db.vocabulary import ObjectionChannel, ObjectionScope, TargetKind
from schema.context import Gateway

BODY_LIMIT: Final = 8 * 1024
WAIT_SECONDS: Final = 5.0
"""The time for which an objection waits for a database connection; filing it is more important than a fast response."""
OBJECTIONS_PER_MINUTE: Final = 60
"""The maximum number of objections from one IP address by the open form. Many people share the address of a company or
of a mobile network."""
MAX_TYPED: Final = 300
LINK: Final = "LINK"
"""The value of `read_as` for an objection by a signed link. For other objections, `read_as` is the kind of the
contact."""
SECONDS_OF_AN_ANSWER: Final = 0.25
"""The minimum response time of the open form, so that the time does not show whether an account was found."""


@dataclass(eq=False)
class FormError(Exception):
    """The reason why nothing was filed: a key of the texts' `errors`, the wrong field, the status of the response.

    `retry` says after how many seconds to try again, `reference` where a failure stands in the log, `countries` which
    ones there are to choose from for a phone number.
    """

    error: str
    place: str | None = None
    status: int = 422
    retry: int | None = None
    reference: str = ""
    countries: tuple[str, ...] = ()


class ObjectingPages:
    """The form at /object and the receipt at /object/receipt."""

    def __init__(self, gateway: Gateway, settings: Settings) -> None:
        self._gateway, self._settings = gateway, settings
        self._attempts = RateLimiter(OBJECTIONS_PER_MINUTE)
        self._filed: dict[int, None] = {}

    async def form(self, request: Request) -> Response:
        """Show the objection form of the privacy pages, or file its objection."""
        account = await self._account(request)
        request.state.linked = account is not None
        if request.method != "POST":
            stale = account is None and "t" in request.query_params
            return _form(request, FormError("link", status=200) if stale else None)
        began = time.monotonic()
        if is_from_own_page(request, self._settings.public_url) is False:
            return _form(request, FormError("origin", status=403))
        request.state.typed = await read_form(request, BODY_LIMIT)
        try:
            receipt = await self._take_in(request, account, request.state.typed)
        except FormError as unfit:
            return _form(request, unfit)
        if account is None:
            await asyncio.sleep(began + SECONDS_OF_AN_ANSWER - time.monotonic())
        return RedirectResponse(link_path(receipt, LinkAction.RECEIPT, language_of(request)), 303)

    async def receipt(self, request: Request) -> Response:
        """Show an objection's receipt as a privacy page or a download; only the gateway's own receipts are."""
        token = request.query_params.get("t", "")
        known = self._gateway.database.secrets.readable
        opened = (decrypt_content(secret, LinkAction.RECEIPT, token) for secret in known)
        sealed = next((content for content in opened if content is not None), None)
        if sealed is None:
            return privacy_page(request, "problem.html", status=404, problem="receipt")
        filed = orjson.loads(sealed)
        language = language_of(request)
        wanted = request.query_params.get("format")
        if wanted == "json":
            return _download(orjson.dumps(filed | {"proof": token}, option=orjson.OPT_INDENT_2), filed, "json")
        if wanted == "text":
            return _download(_receipt_text(filed, token, language).encode(), filed, "txt")
        kept = {"t": token, "lang": language}
        files = {each: f"{LinkAction.RECEIPT}?{urlencode(kept | {'format': each})}" for each in ("text", "json")}
        return privacy_page(request, "answer.html", filed=filed, files=files, steps=_next_steps(filed))

    async def _take_in(self, request: Request, account: str | None, typed: dict[str, str]) -> str:
        """File the objection of the privacy form, and return the sealed receipt, which never names the account."""
        scope = _scope(typed.get("scope", ObjectionScope.ALL))
        database = self._gateway.database
        read_as = {"read_as": LINK}
        if account is None:
            address = client_address(request, self._settings.trusted_proxies)
            contact = _contact(request, typed)
            submitter, target = ObjectionSubmitter.form(database), contact_target(contact)
            self._limit(address, hash((target, scope)))
            sharer, reserved = f"address:{address}", False
            read_as = {"read_as": str(contact.kind), "calling_code": str(contact.calling_code or "")}
        else:  # may always object, and finds a connection that is kept free of others
            submitter, target = ObjectionSubmitter.subject(database, account), Target(TargetKind.ACCOUNT, account)
            sharer, reserved = f"link:{account}", True
        with borrowing_as(sharer, reserved=reserved, wait_seconds=WAIT_SECONDS):
            filed = await _file_patiently(submitter, target, scope)
        observe.objected(ObjectionChannel.FORM)
        said = {"reference": filed.reference, "received_at": filed.received_at.isoformat(), "scope": scope} | read_as
        return encrypt_content(self._gateway.secret, LinkAction.RECEIPT, orjson.dumps(said))

    def _limit(self, address: str, objection: int) -> None:
        """Raise FormError for too many objections from an address; a repeated one is never refused."""
        if objection in self._filed:
            return
        if not self._attempts.take(address):
            raise FormError("too_many", status=429, retry=60)
        self._filed[objection] = None
        if len(self._filed) > MAX_KEYS:
            self._filed.pop(next(iter(self._filed)))

    async def _account(self, request: Request) -> str | None:
        """Return the account for which a signed link opens the objection form."""
        token = request.query_params.get("t")
        return None if token is None else await account_of_link(self._gateway, LinkAction.OBJECT, token)


async def _file_patiently(submitter: ObjectionSubmitter, target: Target, scope: ObjectionScope) -> Filed:
    """File the objection of the privacy form; while the lock is in use, try again for WAIT_SECONDS."""
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return await file_objection(submitter, target, scope, ObjectionChannel.FORM)
        except asyncpg.LockNotAvailableError:
            if time.monotonic() >= ends:
                raise


def _contact(request: Request, typed: dict[str, str]) -> Contact:
    """Read the contact typed into the objection form: of the chosen country if it has no code."""
    who = typed.get("who", "")
    if len(who) > MAX_TYPED:
        raise FormError("who_long", "who")
    try:
        return stated_contact(who, _country(typed), language_of(request))
    except TargetError as error:
        raise FormError(f"who_{error.problem.lower()}", "who", countries=error.countries) from None


def _country(typed: dict[str, str]) -> str | None:
    """Return the country that was chosen on the objection form for a phone number; None if it is unknown."""
    chosen = typed.get("country", "")
    return chosen if chosen in COUNTRIES_OFFERED else None


def _scope(said: str) -> ObjectionScope:
    """Read the scope that was chosen on the objection form. Raises FormError."""
    try:
        return ObjectionScope(said)
    except ValueError:
        raise FormError("scope", "scope") from None


def objection_error(request: Request, error: HTTPError) -> Response:
    """Show an error on the objection form with the submitted fields, so that the person can send it again."""
    if error.status == 503:
        return _form(request, FormError("busy", status=503, retry=1))
    if error.reference:
        return _form(request, FormError("failed", status=500, reference=error.reference))
    return _form(request, FormError("unreadable", status=error.status))


def _form(request: Request, unfit: FormError | None) -> Response:
    """Show the objection form as it was filled in, and what was wrong with it."""
    linked, typed = getattr(request.state, "linked", False), getattr(request.state, "typed", {})
    kept = {"t": request.query_params["t"]} if linked else {}
    chosen = typed.get("scope")
    return privacy_page(
        request,
        "object.html",
        status=unfit.status if unfit else 200,
        retry=unfit.retry if unfit else None,
        action=f"{LinkAction.OBJECT}?{urlencode(kept | {'lang': language_of(request)})}",
        linked=linked,
        typed=typed.get("who", ""),
        countries=country_choices(unfit.countries, language_of(request)) if unfit else [],
        scopes=list(ObjectionScope),
        chosen=chosen if chosen in list(ObjectionScope) else ObjectionScope.ALL,
        unfit=unfit,
    )


def _receipt_text(filed: dict[str, str], token: str, language: str) -> str:
    """Write the receipt of the objection form as plain text, to download."""
    texts = texts_of(language)
    said = texts["answer"]
    read_as = said["read_as"][filed.get("read_as", LINK)].format(code=filed.get("calling_code", ""))
    lines = {
        said["reference"]: filed["reference"],
        said["received"]: LocalFormat(language).instant(filed["received_at"]),
        said["covers"]: texts["words"][filed["scope"]],
        said["filed_for"]: read_as,
        said["in_force"]: said["at_once"],
    }
    stated = [f"{name}: {value}" for name, value in lines.items()]
    then = [said[f"next_{number}"] for number in _next_steps(filed)]
    proof = [f"{said['proof_use']}:", link_path(token, LinkAction.RECEIPT, language)]
    return "\n".join([said["title"], "", *stated, "", *then, "", *proof, ""])


def _next_steps(filed: dict[str, str]) -> list[int]:
    """Number the sentences of the objection form's receipt on what happens next."""
    return [1, 2, 5] if filed.get("read_as", LINK) == LINK else [1, 2, 3, 4, 5]


def _download(body: bytes, filed: dict[str, str], ending: str) -> Response:
    """Respond with the receipt of the objection form as a file to download."""
    media = "application/json" if ending == "json" else "text/plain; charset=utf-8"
    name = f"{filed['reference']}.{ending}"
    return Response(body, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})
