"""What the accounts of one person share, and what is objected to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tests.promises.oracle.facts import Facts, Key
from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.policies import Policy
from tests.promises.oracle.records import ALWAYS, Record, adult_from
from tests.promises.oracle.verdicts import Verdict, all_of, unless

PUBLIC_SCOPES = {"ALL", "PUBLIC_CONTENT"}


@dataclass(frozen=True)
class Person:
    """What the accounts of one person share."""

    objected: set[str]  # scopes of the active objections
    adult_from: datetime  # by the youngest birth date of any account
    birth_waits: bool
    doubted: bool  # a bad line about any of the accounts


@dataclass(frozen=True)
class Author:
    """An account, as the author of an item or as a person that an item references."""

    record: Record | None  # None while the account is not known
    person: Person
    doubted: bool
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # what depends on nothing but the account and the time

    def free_of_objections(self, scopes: set[str]) -> Verdict:
        return False if scopes & self.person.objected else True if self.record else None

    def adult(self, at: datetime) -> Verdict:
        if self.person.adult_from > at:
            return False
        return True if self.record and self.record["born_on"] and not self.person.doubted else None


class Persons:
    """The persons behind the accounts, at one instant."""

    def __init__(self, facts: Facts, policy: Policy, features: Features, now: datetime) -> None:
        self._facts, self._features, self._now = facts, features, now
        self._withdrawal_dwell = policy.dwell["withdrawal"]
        self._persons: dict[str, Person] = {}
        self._authors: dict[str, Author] = {}
        begun_after = now - policy.dwell["taken_back"] if now > ALWAYS else now
        self._waiting = {target for target, since in facts.waits_since() if since > begun_after}

    def waits(self, *target: str) -> bool:
        """Return whether something waits out the dwell of what was taken back."""
        return target in self._waiting

    def author(self, account: str) -> Author:
        if account not in self._authors:
            record = self._facts.stored["account"].get(account)
            self._authors[account] = Author(record, self._person(account), self._facts.is_account_doubted(account))
        return self._authors[account]

    def _person(self, account: str) -> Person:
        if account not in self._persons:
            reached: set[Key] = set()
            frontier: list[Key] = [("account", account)]
            while frontier:
                key = frontier.pop()
                if key not in reached:
                    reached.add(key)
                    frontier.extend(self._facts.links.get(key, ()))
            accounts = {identity for name, identity in reached if name == "account"}
            stored = self._facts.stored["account"]
            births = (stored[identity]["born_on"] for identity in accounts if identity in stored)
            person = Person(
                objected={scope for key in reached for scope in self._objected(key)},
                adult_from=max((adult_from(birth) for birth in births if birth), default=ALWAYS),
                birth_waits=any(self.waits("birth", identity) for identity in accounts),
                doubted=any(self._facts.is_set_aside(("account", identity)) for identity in accounts),
            )
            self._persons |= dict.fromkeys(accounts, person)
        return self._persons[account]

    def _objected(self, key: Key) -> Iterator[str]:
        """Yield the scopes of the objections in force that ever named an account, a person or a contact."""
        for identity in self._facts.objections.get(key, ()):
            if self._facts.is_set_aside(("objection", identity)):
                yield "ALL"
            objection = self._facts.stored["objection"].get(identity)
            if objection:
                yield from self._scopes(objection)

    def _scopes(self, objection: Record) -> set[str]:
        """Return what an objection covers now; nothing once a withdrawal has waited out its dwell.

        An objection is in force from its loading on, even if it is to be received in the future. Every good line of it
        counts for its scope and for when it was received, the latest one for its withdrawal.
        """
        lines, withdrawn_at = [objection], objection["withdrawn_at"]
        wide = Feature.OBJECTIONS_WIDEN in self._features
        if wide:
            lines = self._facts.stated["objection", objection["id"]]
        received_at = max(line["received_at"] for line in lines)
        if withdrawn_at is None or withdrawn_at < received_at or (withdrawn_at == received_at and wide):
            is_over = False
        else:
            is_over = withdrawn_at <= self._now - self._withdrawal_dwell
        return set() if is_over else {line["scope"] for line in lines}

    def free_of_objectors(self, reference: tuple[str, str, str]) -> Verdict:
        """Return whether somebody who is referenced has not objected to what is public."""
        kind, named, _ = reference
        verdicts = [
            all_of(author.free_of_objections(PUBLIC_SCOPES), unless(author.doubted))
            for author in self._named(reference)
        ]
        if kind == "contact":
            verdicts.append(not PUBLIC_SCOPES.intersection(self._objected(("contact", named))))
        return all_of(*verdicts)

    def adult_now(self, reference: tuple[str, str, str]) -> Verdict:
        """Return whether somebody who is referenced is adult, and no minor's birth date was taken back of late."""
        wide = Feature.TAKING_BACK in self._features
        return all_of(
            *(
                all_of(author.adult(self._now), unless(author.doubted), not (wide and author.person.birth_waits))
                for author in self._named(reference)
            )
        )

    def _named(self, reference: tuple[str, str, str]) -> list[Author]:
        """Return the account that is referenced, or every account that is known to have the contact."""
        kind, named, _ = reference
        return [self.author(account) for account in ([named] if kind == "account" else self._facts.holders[named])]
