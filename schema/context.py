"""The context of a resolver: the actor, the database, the ids of the audience, and the loaders of the request."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from db.connection import Database, Reader
from db.delivery.pages import register_client
from db.oversight.canaries import CanaryIncidentRow, CanaryRow, load_canaries, load_canary_incidents
from db.oversight.staff_reads import record_staff_read
from db.policies.store import policy_of
from db.policy.document import Policy
from db.records import account as accounts
from db.records import consent as consents
from db.records import content as contents
from db.records import decision
from db.records.account import AccountRow
from db.records.campaign import CampaignRow, load_campaigns
from db.records.consent import NoticeRow, ObjectionRow
from db.records.content import ContentRow
from db.records.decision import DecisionRow
from db.records.own_deliveries import number_own_items
from db.records.timeline import RecipientRow, load_recipients
from db.releases.runs import ItemRunRow, runs_of_items
from schema.actor import Actor, Role
from schema.relay.ids import IdKind, Ids, ids_of

K = TypeVar("K")
T = TypeVar("T")


class Loader(DataLoader[K, T]):
    """A loader of one request's rows, whose rows several fields can wait for: one that is cancelled cancels no other.

    A field that may not be read ends its siblings. Without this, what they wait for would end for all others too.
    """

    def load(self, key: K) -> Awaitable[T]:
        """Return an awaitable for the row of a key, which a GraphQL request reads together with others."""
        return asyncio.shield(super().load(key))


@dataclass(slots=True)
class Gateway:
    """The state that all requests share: the pools, the secret, and facts that never change once read."""

    database: Database
    secret: bytes
    clients: dict[str, int] = field(default_factory=dict)  # a client's number is given once
    policies: dict[str, Policy] = field(default_factory=dict)  # a version is immutable
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    webhook_networks: frozenset[IPv4Network | IPv6Network] = frozenset()
    """The networks to which retractions can be posted in addition to public networks."""
    on_delivered: Callable[[str, Mapping[str, int]], None] = lambda *_: None
    """The function to call after each page, with the client's name and the number of items per ground."""
    offers: bool = False
    """Whether pages are read from offers first."""
    items_per_shard: int = 250_000
    """The number of consecutive items that a file of a release covers, permitted or not."""
    public_url: str = ""
    """The public address of the gateway; empty if the operator states none."""
    reason_required: bool = False
    """Whether officers and auditors must state a reason for each read of people's data."""

    async def client(self, name: str) -> int:
        """Return the number of a client for resolvers, and make the client known at its first request."""
        number = self.clients.get(name)
        if number is None:
            number = self.clients[name] = await register_client(self.database.training, name)
        return number

    def ids(self, audience: str) -> Ids:
        """Return the ids that an audience of the GraphQL API sees."""
        return ids_of(self.database.first_secret, audience, self.database.incarnations)

    async def policy_in_force(self) -> Policy:
        """Return the policy in force for the resolvers of the GraphQL API."""
        found = await policy_of(self.database.dashboard, None)
        if found is None:
            raise LookupError("no policy is in force")
        return found

    async def policy(self, version: str) -> Policy:
        """Return for resolvers the policy of a version that a statement named."""
        if version not in self.policies:
            async with self._reading:  # a page's items ask at the same time, and one connection is enough
                if version not in self.policies:
                    found = await policy_of(self.database.dashboard, version)
                    if found is None:
                        raise LookupError(f"there is no policy {version}")
                    self.policies[version] = found
        return self.policies[version]


@dataclass
class Context:
    """The state of one request."""

    actor: Actor
    gateway: Gateway

    @property
    def sharer(self) -> str:
        """Return the sharer that a GraphQL request's connections count for: the client, the account, or the bearer."""
        actor = self.actor
        return f"{actor.role}:{actor.client or actor.subject or actor.name}"

    @property
    def database(self) -> Database:
        """Return the database pools that resolvers use."""
        return self.gateway.database

    @cached_property
    def ids(self) -> Ids:
        """Return the ids that a GraphQL request's actor sees: per client, per data subject, or one for all staff."""
        actor = self.actor
        if actor.role is Role.TRAINING_CLIENT:
            return self.gateway.ids(f"client:{actor.client}")
        if actor.role is Role.DATA_SUBJECT:
            return self.gateway.ids(f"subject:{actor.subject}")
        return self.gateway.ids("staff")

    async def client(self) -> int:
        """Return the number of the training client that sent the GraphQL request."""
        assert self.actor.client is not None, "a training client's token names it"
        return await self.gateway.client(self.actor.client)

    @cached_property
    def reader(self) -> Reader:
        """Return the database reader for a GraphQL request's resolvers; raise LookupError for a role without one."""
        actor = self.actor
        if actor.role is Role.DATA_SUBJECT:
            return self.database.data_subject(actor.subject or "")
        if actor.role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
            return self.database.examiner(actor.role)
        raise LookupError(f"{actor.role} may not read accounts or items")

    async def record_reads(self, fields: Sequence[str], reason: str | None) -> None:
        """Record whose data an officer or auditor read in this GraphQL request, before it is answered."""
        if self.actor.role not in (Role.PRIVACY_OFFICER, Role.AUDITOR) or not self.reader.people:
            return
        if self.gateway.reason_required and reason is None:
            raise AssertionError("people's data was read without a reason")  # see schema/oversight/read_reasons.py
        await record_staff_read(
            self.database.staff, self.actor.name, self.actor.role, self.reader.people, fields, reason
        )

    async def platform_account(self, account: str) -> str:
        """Return the platform's id of an account that a GraphQL argument names; an unknown one stays as it is."""
        number = self.ids.decode_as(IdKind.ACCOUNT, account)
        row = None if number is None else await self.accounts.load(number)
        return row.platform_id if row else account

    @property
    def owner(self) -> str | None:
        """Return the account to which a data subject's GraphQL request is limited; None for staff."""
        return (self.actor.subject or "") if self.actor.role is Role.DATA_SUBJECT else None

    @cached_property
    def decisions(self) -> Loader[tuple[int, str | None], DecisionRow | None]:
        """Load the decisions that a GraphQL request's resolvers need, in one statement per purpose."""
        return Loader(lambda keys: decision.decisions_for(self.reader, keys))

    @cached_property
    def accounts(self) -> Loader[int, AccountRow | None]:
        """Load the accounts that a GraphQL request's resolvers need, in one statement."""
        return Loader(lambda numbers: accounts.load_accounts(self.reader, numbers, self.owner))

    @cached_property
    def contents(self) -> Loader[int, ContentRow | None]:
        """Load the items that a GraphQL request's resolvers need, in one statement."""
        return Loader(lambda numbers: contents.load_contents(self.reader, numbers, self.owner))

    @cached_property
    def own_numbers(self) -> Loader[int, int | None]:
        """Load the numbers of a data subject's own items for a GraphQL request's resolvers, in one statement."""

        async def load(items: list[int]) -> list[int | None]:
            """Read the numbers of these items for a GraphQL request's resolvers."""
            numbers, _ = await number_own_items(self.reader)
            return [numbers.get(item) for item in items]

        return Loader(load)

    @cached_property
    def recipients(self) -> Loader[int, list[RecipientRow]]:
        """Load for a GraphQL request's resolvers which clients received its items, in one statement."""
        return Loader(lambda numbers: load_recipients(self.reader, numbers))

    @cached_property
    def item_runs(self) -> Loader[int, list[ItemRunRow]]:
        """Load for a GraphQL request's resolvers which training runs used its items, in one statement."""

        async def load(items: list[int]) -> list[list[ItemRunRow]]:
            """Read the training runs that used these items for a GraphQL request's resolvers."""
            found = await runs_of_items(self.reader, items)
            return [[row for (used, _, _), rows in found.items() if used == item for row in rows] for item in items]

        return Loader(load)

    @cached_property
    def canaries(self) -> Loader[int, CanaryRow | None]:
        """Load for a GraphQL request's resolvers which of its items are planted, in one statement."""
        return Loader(lambda numbers: load_canaries(self.reader, numbers))

    @cached_property
    def canary_incidents(self) -> Loader[int, list[CanaryIncidentRow]]:
        """Load for a GraphQL request's resolvers the deliveries that planted items stopped, in one statement."""
        return Loader(lambda numbers: load_canary_incidents(self.reader, numbers))

    @cached_property
    def notices(self) -> Loader[int, list[NoticeRow]]:
        """Load the notices to accounts that a GraphQL request's resolvers need, in one statement."""
        return Loader(lambda numbers: consents.load_notices(self.reader, numbers))

    @cached_property
    def campaigns(self) -> Loader[str, CampaignRow | None]:
        """Load the campaigns of notices that a GraphQL request's resolvers need, in one statement."""
        return Loader(lambda epochs: load_campaigns(self.reader, epochs))

    @cached_property
    def objections(self) -> Loader[int, list[ObjectionRow]]:
        """Load the objections to accounts that a GraphQL request's resolvers need, in one statement."""
        return Loader(lambda numbers: consents.load_objections(self.reader, numbers))


Info = strawberry.Info[Context, None]
"""The second parameter of every resolver, which contains the context of the request."""
