"""The facts of one database, and the decision about an item."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.promises.oracle.facts import Facts
from tests.promises.oracle.features import ALL_FEATURES, Feature, Features
from tests.promises.oracle.items import Items
from tests.promises.oracle.notices import Notices
from tests.promises.oracle.persons import Author, Persons
from tests.promises.oracle.policies import COUNTRIES, DEFAULT_POLICY, Policy
from tests.promises.oracle.records import ALWAYS, NEVER, Record
from tests.promises.oracle.verdicts import OUTCOMES, Decision, Outcome, Verdict, all_of, is_reached, unless

HOLD_SCOPES = ("GLOBAL", "COUNTRY", "PRODUCT", "ACCOUNT")


class World:
    """The facts that were loaded, and the decisions on them."""

    def __init__(self, policy: Mapping[str, Any] = DEFAULT_POLICY, features: Features = ALL_FEATURES) -> None:
        self.features = features
        self.policy = Policy(policy, features)
        self.codes = self.policy.codes
        self.facts = Facts(self.policy, features)
        self.records = self.facts.records
        self._holds: list[tuple[str, str | None, datetime, datetime]] = []
        self._at(ALWAYS)

    def _at(self, now: datetime) -> None:
        """Judge what depends on nothing but the facts and an instant afresh."""
        facts = self.facts, self.policy, self.features
        self._now, self._persons, self._notices = now, Persons(*facts, now), Notices(*facts, now)
        self._items = Items(*facts, self._persons, now)
        self._of_author: dict[str, dict[str, Verdict]] = {}

    def load(self, line: str | bytes, at: datetime) -> str:
        """Load one line at an instant; return "accepted", "unchanged", "stale" or "rejected"."""
        outcome = self.facts.load(line, at)
        self._now = ALWAYS
        return outcome

    def open_hold(self, scope: str, value: str | None, opened_at: datetime, lifted_at: datetime | None = None) -> None:
        """Open a hold on GLOBAL, or on a COUNTRY, PRODUCT or ACCOUNT (by its id); ValueError if it is refused."""
        if scope not in HOLD_SCOPES or (value is None) != (scope == "GLOBAL"):
            raise ValueError("hold: needs a known scope, and a value unless it is GLOBAL")
        if Feature.POLICY_FLOORS in self.features:
            if scope == "COUNTRY" and value not in COUNTRIES:
                raise ValueError("hold: ISO 3166-1 does not have that country")
            if scope == "ACCOUNT" and value not in self.facts.stored["account"]:
                raise ValueError("hold: that account is not known")
        over_at = NEVER if lifted_at is None else lifted_at + self.policy.dwell["hold"]
        self._holds.append((scope, value, opened_at, over_at))
        self._now = ALWAYS

    def content_ids(self) -> list[str]:
        return list(self.facts.stored["content"])

    def untold(self) -> set[tuple[str, str, str]]:
        """Return the purposes, kinds and products of the policy that nobody was told of."""
        return Notices(self.facts, self.policy, self.features, ALWAYS).untold()

    def decide(
        self, content_id: str, now: datetime, purpose: str = "GENAI_TRAINING", suspended: bool = False
    ) -> Decision:
        """Decide on one item; KeyError if it is not known."""
        if now != self._now:
            self._at(now)
        item = self.facts.item(content_id)
        if item is None:
            raise KeyError(content_id)
        author, kind = self._persons.author(item["account"]), item["kind"]
        verdicts = {
            "PROGRAMME_ACTIVE": self.policy.is_active(now),
            "PURPOSE_MATCH": purpose in self.policy.document["purposes"] and not suspended,
            **self._by_author(item["account"], author),
            **self._by_creation(item, author),
            **self._items.verdicts(item),
        }
        if author.record:
            product = author.record["product"]
            verdicts |= self._notices.verdicts(item["account"], purpose, kind, product)
        # Whatever reads an account that is not known gave no verdict above.
        outcomes = {code: OUTCOMES[verdicts.get(code)] for code in self.codes}
        not_required = self.policy.not_required(kind)
        permitted = all(outcomes[code] is Outcome.PASS for code in self.codes if code not in not_required)
        return Decision(permitted, self.policy.ground(kind), outcomes)

    def _by_author(self, identity: str, author: Author) -> dict[str, Verdict]:
        if identity not in self._of_author:
            verdicts = {
                "NO_REGULATORY_HOLD": self._free_of_holds(identity, author.record),
                "AUTHOR_ADULT_NOW": author.adult(self._now),
            }
            if author.record:
                verdicts |= self._by_account(author.record, author)
            self._of_author[identity] = verdicts
        return self._of_author[identity]

    def _free_of_holds(self, identity: str, account: Record | None) -> Verdict:
        own = {"ACCOUNT": identity}
        if account:
            own |= {"COUNTRY": account["country"], "PRODUCT": account["product"]}
        verdicts: list[Verdict] = [True if account else None]
        for scope, value, opened_at, over_at in self._holds:
            if opened_at <= self._now < over_at:
                mine = own.get(scope)
                verdicts.append(False if scope == "GLOBAL" else None if mine is None else mine != value)
        return all_of(*verdicts)

    def _by_account(self, account: Record, author: Author) -> dict[str, Verdict]:
        policy = self.policy.document
        return {
            "REGION_COVERED": None if account["country"] is None else account["country"] in policy["regions"],
            "ACCOUNT_IN_GOOD_STANDING": all_of(
                account["status"] == "ACTIVE",
                is_reached(self._now - self.policy.dwell["account"], account["status_since"]),
                not (author.person.birth_waits or self._persons.waits("standing", account["id"])),
                unless(author.doubted),
            ),
            "ACCOUNT_KIND_COVERED": account["kind"] in policy["account_kinds"],
            "OPTED_IN": self._opted_in(account["id"]),
        }

    def _opted_in(self, account: str) -> bool:
        """Return whether a consent stands: given, not withdrawn, and not before another one's withdrawal.

        A consent that is set aside gives nothing, and its withdrawal counts still.
        """
        consents = self.facts.of_account["consent", account].values()
        last_withdrawn_at = max((consent["withdrawn_at"] or ALWAYS for consent in consents), default=ALWAYS)
        return any(
            last_withdrawn_at < consent["given_at"] <= self._now
            for consent in self._unspoilt(consents)
            if consent["given_at"] and not consent["withdrawn_at"]
        )

    def _unspoilt(self, consents: Any) -> Iterator[Record]:
        for consent in consents:
            set_aside = self.facts.is_set_aside(("consent", consent["id"]))
            if Feature.NOTICES_SET_ASIDE not in self.features or not set_aside:
                yield consent

    def _by_creation(self, item: Record, author: Author) -> dict[str, Verdict]:
        kind, created_at, account = item["kind"], item["created_at"], author.record
        narrow_scope = "AI_INTERACTIONS" if kind == "AI_INTERACTION" else "PUBLIC_CONTENT"
        verdicts: dict[str, Verdict] = {
            "AUTHOR_ADULT_AT_CREATION": author.adult(created_at),
            "NO_ACTIVE_OBJECTION": author.free_of_objections({"ALL", narrow_scope}),
        }
        if not self.policy.is_trained_on(kind):
            verdicts["CONTENT_KIND_COVERED"] = False
        elif account:
            products = self.policy.grounds[self.policy.ground(kind)]["products"]
            verdicts["CONTENT_KIND_COVERED"] = account["product"] in products
        if account:
            compromised = any(start <= created_at <= end for start, end in account["compromised"])
            verdicts["NOT_COMPROMISED_AT_CREATION"] = not compromised
        return verdicts
