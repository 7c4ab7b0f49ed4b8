"""The pages that everyone can read without a token: the data that are used, the rules, and how to check the ledger."""

import time
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.campaigns.notice_text import INFORMATION_LINK, OBJECT_LINK, split_subject
from app.http.boundary import HTTPError, render_json
from app.http.negotiation import prefers_html
from app.settings import Settings
from app.texts.formatting import LocalFormat
from app.web.forms import RateLimiter, client_address
from app.web.privacy.public_data import SECONDS_KEPT, PublicData
from app.web.privacy.rendering import Site, language_of, languages_offered, privacy_page, texts_of

PUBLIC_PATH: Final = "/"
TRANSPARENCY_PATH: Final = "/transparency.json"
CHECKPOINTS_PATH: Final = "/transparency/checkpoints.json"
CHECKPOINT_REQUESTS_PER_MINUTE: Final = 60
STATEMENTS: Final = ("recipients", "storage", "transfers")
LINKS: Final = {"object": "/object", "me": "/me", "information": "/information", "dashboard": "/dashboard"}


class PublicPages:
    """Serve /, /information, /transparency.json and the checkpoints, to everyone, from what is public."""

    def __init__(self, public: PublicData, site: Site, settings: Settings) -> None:
        self._public, self._site, self._settings = public, site, settings
        self._attempts = RateLimiter(CHECKPOINT_REQUESTS_PER_MINUTE)
        self._name_next_at = 0.0

    async def home(self, request: Request) -> Response:
        """Show the public page to a browser, and its data to any other client."""
        if not prefers_html(request):
            return await self.data(request)
        response = await self._page(request, "public.html")
        response.headers["Vary"] = "Accept, Accept-Language"
        return response

    async def information(self, request: Request) -> Response:
        """Show the public page /information, to which each notice links; without a controller there is none to show."""
        return await self._page(request, "information.html")

    async def data(self, _: Request) -> Response:
        """Respond with everything that the public page shows, as JSON."""
        links = {**LINKS, "checkpoints": f"{CHECKPOINTS_PATH}?from=1"}
        body = {**await self._public.read(), "languages": languages_offered(), "links": links}
        return Response(orjson.dumps(body, option=orjson.OPT_INDENT_2), media_type="application/json")

    async def checkpoints(self, request: Request) -> Response:
        """Respond with the checkpoints from a number on, for everyone who kept one and follows the chain."""
        if not self._attempts.take(client_address(request, self._settings.trusted_proxies)):
            raise HTTPError(429, "too many requests (try again in a minute)", {"Retry-After": "60"})
        first = request.query_params.get("from", "1")
        if not (first.isascii() and first.isdigit() and 0 < len(first) < 10 and int(first)):
            raise HTTPError(
                422, "from: must be the number of a checkpoint (pass the number of the checkpoint that you stored)"
            )
        found = await self._public.checkpoints(int(first))
        return Response(orjson.dumps({"checkpoints": found}), media_type="application/json")

    async def name_site(self) -> None:
        """Read the name of the controller for the top of the privacy pages; keep the last one where that fails.

        After a failure it is not tried again for a while: no page waits for a name that cannot be read.
        """
        if self._site.name is None and time.monotonic() > self._name_next_at:
            try:
                controller = (await self._public.read())["policy"]["controller"]
                self._site.controller = controller["name"] if controller else None
            except HTTPError:
                self._name_next_at = time.monotonic() + SECONDS_KEPT

    async def _page(self, request: Request, template: str) -> Response:
        """Show a public page in the reader's language; without a controller there is none to show."""
        data = await self._public.read()
        policy = data["policy"]
        if policy["controller"] is None:
            return privacy_page(request, "problem.html", status=404, problem="no_controller")
        language = language_of(request)
        texts = texts_of(language)
        return privacy_page(
            request,
            template,
            policy=policy,
            used=_kinds_by_product(policy),
            bases=list(dict.fromkeys(texts["information"]["bases"][each["ground"]] for each in policy["grounds"])),
            countries=sorted(LocalFormat(language).country(code) for code in policy["regions"]),
            stated={name: _statement(policy, name, language) for name in STATEMENTS},
            record=data["publicRecord"],
            campaigns=[_campaign_values(each, language) for each in data["publicRecord"]["campaigns"]],
            coverage=data["coverage"],
            links=LINKS,
            data_path=TRANSPARENCY_PATH,
            checkpoints_path=CHECKPOINTS_PATH,
        )


def public_error(request: Request, error: HTTPError) -> Response:
    """Write an error of a public page as a page for a browser, and in JSON for any other client."""
    if not prefers_html(request):
        return render_json(request, error)
    problem = "busy_reading" if error.status == 503 else "failed_reading"
    response = privacy_page(request, "problem.html", status=error.status, problem=problem, reference=error.reference)
    response.headers.update(error.headers)
    return response


def _kinds_by_product(policy: dict[str, Any]) -> dict[str, list[str]]:
    """List for the public pages the kinds of content that the policy uses on each product."""
    found: dict[str, list[str]] = {}
    for ground in policy["grounds"]:
        for product in ground["products"]:
            found.setdefault(product, []).extend(ground["kinds"])
    return dict(sorted(found.items()))


def _statement(policy: dict[str, Any], name: str, language: str) -> dict[str, str] | None:
    """Find for a public page what the controller states: in the reader's language, else in English, else in any."""
    stated = {each["language"]: each for each in policy["controller"][name]}
    found: dict[str, str] | None = stated.get(language) or stated.get("en") or next(iter(stated.values()), None)
    return found


def _campaign_values(campaign: dict[str, Any], language: str) -> dict[str, Any]:
    """Arrange a campaign for the public page: the kinds by product, and the text in the reader's language."""
    uses: dict[str, list[str]] = {}
    for use in campaign["told"]:
        uses.setdefault(use["product"], []).append(use["kind"])
    return {"epoch": campaign["epoch"], "uses": uses, "text": sent_text(campaign["texts"], language)}


def sent_text(texts: list[dict[str, Any]], language: str, sent_in: str | None = None) -> dict[str, str] | None:
    """Return a notice's text for a page: as it was sent, else in the reader's or another language that there is."""
    known = {each["language"]: each["text"] for each in texts if each["message"] == "NOTICE" and each["text"]}
    wanted = [name for name in (sent_in, language, "en", *known) if name in known]
    if not wanted or wanted[0] is None:
        return None
    subject, body = split_subject(known[wanted[0]])
    body = body.replace(OBJECT_LINK, texts_of(language)["me"]["own_link"])
    return {"language": wanted[0], "subject": subject, "body": body.replace(INFORMATION_LINK, LINKS["information"])}
