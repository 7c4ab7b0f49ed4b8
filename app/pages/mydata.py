"""What the gateway knows about a person, for that person: everything through row security as the data subject."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.auth import Authenticator, Unauthorized
from app.links import Purpose, link_path, read_link, sign_link
from app.observe import observe
from app.pages.page import Texts, language_of, page, texts_of
from db.account import AccountRow, account_number, accounts_of
from db.consent import NoticeRow, ObjectionRow, notices_of, objections_of
from db.content import ContentRow, DecisionRow, decisions, page_of_contents
from db.objecting import DeliveryRow, decision_time, deliveries_of, numbered_items, references_of
from db.policy.compile import conditions_of
from db.policy.document import Policy
from db.policy.grounds import GROUNDS, GroundCode
from db.session import Busy, Reader
from schema.actor import Role
from schema.consent import Consent, consent_of
from schema.context import Gateway
from schema.decision import tri_state
from schema.ids import Kind, ids_of

ITEMS_A_PAGE: Final = 20
DELIVERIES_SHOWN: Final = 100
OBJECT_LINK_LIFETIME: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Item:
    """Hold an item as its author reads of it; `missed` and `held` are sentences, `given` whom it was given to."""

    number: int
    row: ContentRow
    permitted: bool
    ground: str
    missed: list[str]
    held: list[str]
    policy: str
    given: list[DeliveryRow]


@dataclass(frozen=True, slots=True)
class MyData:
    """Hold what is known about one account."""

    account: AccountRow
    consent: Consent
    adult: str
    withdrawal_days: int
    items: list[Item]
    held: int
    numbered: dict[int, int]
    next: str | None
    deliveries: list[DeliveryRow]
    notices: list[NoticeRow]
    objections: list[tuple[ObjectionRow, str]]


class MyDataPage:
    """Serve /me, to the bearer of a signed link or of a DATA_SUBJECT's token."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator) -> None:
        self._gateway = gateway
        self._authenticator = authenticator

    async def show(self, request: Request) -> Response:
        """Show what is known, or say that this needs a link."""
        try:
            account = await self._account(request)
            if account is None:
                refused = page(request, "problem.html", status=401, problem="me")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
            known = await self._read(account, request.query_params.get("after", ""), texts_of(language_of(request)))
            return page(
                request, "me.html", known=known, shown=DELIVERIES_SHOWN, **await self._links(request, account, known)
            )
        except (Busy, asyncio.CancelledError):  # the server cancels what outlasts its grace, and would log a trace
            return page(request, "problem.html", status=503, retry=1, problem="busy_reading")
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            reference = observe.failure(error)
            return page(request, "problem.html", status=500, problem="failed_reading", reference=reference)

    async def _account(self, request: Request) -> str | None:
        token = request.query_params.get("t")
        if token is not None:
            return read_link(self._gateway.secret, token, Purpose.ME, await decision_time(self._gateway.database))
        try:
            actor = await self._authenticator.actor(request.headers.get("authorization"))
        except Unauthorized:
            return None
        return actor.subject if actor.role is Role.DATA_SUBJECT else None

    async def _links(self, request: Request, account: str, known: MyData | None) -> dict[str, Any]:
        """Make the links of the page: to object as this person, to the next items, and back to the first."""
        now, language = await decision_time(self._gateway.database), language_of(request)
        token = sign_link(self._gateway.secret, account, Purpose.OBJECT, now + OBJECT_LINK_LIFETIME)
        kept = {"lang": language} | ({"t": request.query_params["t"]} if "t" in request.query_params else {})
        after = known.next if known else None
        return {
            "object_path": link_path(token, Purpose.OBJECT, language),
            "next_path": f"?{urlencode(kept | {'after': after})}#items" if after else None,
            "first_path": f"?{urlencode(kept)}#items" if "after" in request.query_params else None,
        }

    async def _read(self, platform_id: str, after: str, texts: Texts) -> MyData | None:
        """Read everything that the page shows; None where the account is not known."""
        reader = self._gateway.database.data_subject(platform_id)
        number = await account_number(reader, platform_id)
        (account,) = [None] if number is None else await accounts_of(reader, [number], platform_id)
        if account is None:
            return None
        ids = ids_of(self._gateway.secret, f"subject:{platform_id}")
        begins = ids.read_as(Kind.CONTENT_CURSOR, after) or 0
        rows, more = await page_of_contents(reader, begins, ITEMS_A_PAGE, owner=platform_id)
        numbered, held = await numbered_items(reader)
        shown = [row.id for row in rows]
        deliveries = await deliveries_of(reader, list(numbered))
        older = await deliveries_of(reader, [item for item in shown if item not in numbered])
        policy = await self._gateway.policy(account.policy)
        (notices,), (objections,) = await notices_of(reader, [account.id]), await objections_of(reader, [account.id])
        references = await references_of(reader, [objection.id for objection in objections])
        return MyData(
            account=account,
            consent=consent_of(account, opting_in=GroundCode.OPTED_IN in policy.grounds),
            adult=tri_state[account.adult],
            withdrawal_days=policy.dwell.withdrawal_days,
            items=await self._items(reader, rows, numbered, [*deliveries, *older], texts),
            held=held,
            numbered=numbered,
            next=ids.write(Kind.CONTENT_CURSOR, shown[-1]) if more else None,
            deliveries=deliveries,
            notices=notices,
            objections=[(objection, references[objection.id]) for objection in objections],
        )

    async def _items(
        self,
        reader: Reader,
        rows: list[ContentRow],
        numbered: dict[int, int],
        deliveries: list[DeliveryRow],
        texts: Texts,
    ) -> list[Item]:
        items = []
        for row, decision in zip(rows, await decisions(reader, [row.id for row in rows]), strict=True):
            assert decision is not None, "an item that is there has a decision"
            policy = await self._gateway.policy(decision.policy)
            missed, held = reasons(decision, policy, texts)
            given = [delivery for delivery in deliveries if row.id in delivery.items]
            number = numbered.get(row.id, 0)
            items.append(Item(number, row, decision.permitted, decision.ground, missed, held, decision.policy, given))
        return items


def reasons(decision: DecisionRow, policy: Policy, texts: Texts) -> tuple[list[str], list[str]]:
    """Say in plain words which conditions of an item's ground do not hold or are not known to, and which hold."""
    missed, held = [], []
    for condition in conditions_of(policy):
        if condition.code not in GROUNDS[GroundCode(decision.ground)].required:
            continue
        sentences = texts["conditions"][condition.code]
        outcome = decision.outcomes[condition.code]
        if outcome:
            held.append(sentences["PASS"])
        else:
            missed.append(sentences["FAIL"] if outcome is False else sentences.get("UNKNOWN", texts["not_checked"]))
    return missed, held
