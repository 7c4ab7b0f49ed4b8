"""What a resolver can reach: who asks, the database, the ids of its audience, and what one request loads."""

from dataclasses import dataclass, field
from functools import cached_property

from strawberry.dataloader import DataLoader

from db import account as accounts
from db import consent as consents
from db import content as contents
from db.account import AccountRow
from db.consent import NoticeRow, ObjectionRow
from db.content import ContentRow, DecisionRow
from db.delivery import register_client
from db.explain import RecipientRow, recipients_of
from db.policies import policy_of
from db.policy.document import Policy
from db.session import Database, Reader
from schema.actor import Actor, Role
from schema.ids import Ids, ids_of


@dataclass(slots=True)
class Gateway:
    """Hold what all requests share: the pools, the secret, and facts that never change once read."""

    database: Database
    secret: bytes
    clients: dict[str, int] = field(default_factory=dict)  # a client's number is given once
    policies: dict[str, Policy] = field(default_factory=dict)  # a version is immutable

    async def client(self, name: str) -> int:
        """Give a client's number, and make the client known at its first request."""
        number = self.clients.get(name)
        if number is None:
            number = self.clients[name] = await register_client(self.database.training, name)
        return number

    async def policy_in_force(self) -> Policy:
        """Give the policy in force."""
        found = await policy_of(self.database.dashboard, None)
        if found is None:
            raise LookupError("no policy is in force")
        return found

    async def policy(self, version: str) -> Policy:
        """Give the policy of a version that a statement named."""
        policy = self.policies.get(version)
        if policy is None:
            found = await policy_of(self.database.dashboard, version)
            if found is None:
                raise LookupError(f"no policy {version}")
            policy = self.policies[version] = found
        return policy


@dataclass
class Context:
    """Hold one request."""

    actor: Actor
    gateway: Gateway

    @property
    def database(self) -> Database:
        """Give the pools."""
        return self.gateway.database

    @cached_property
    def ids(self) -> Ids:
        """Give the ids that this audience sees: per client, per data subject, or one for all staff."""
        actor = self.actor
        if actor.role is Role.TRAINING_CLIENT:
            return ids_of(self.gateway.secret, f"client:{actor.client}")
        if actor.role is Role.DATA_SUBJECT:
            return ids_of(self.gateway.secret, f"subject:{actor.subject}")
        return ids_of(self.gateway.secret, "staff")

    async def client(self) -> int:
        """Give the number of the training client that asks."""
        assert self.actor.client is not None, "a training client's token names it"
        return await self.gateway.client(self.actor.client)

    @cached_property
    def reader(self) -> Reader:
        """Give what this audience reads through. Others than those concerned have none."""
        actor = self.actor
        if actor.role is Role.DATA_SUBJECT:
            return self.database.data_subject(actor.subject or "")
        if actor.role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
            return self.database.examiner(actor.role)
        raise LookupError(f"{actor.role} reads no rows of people")

    @property
    def owner(self) -> str | None:
        """Give the account that a data subject is kept to; None for staff."""
        return (self.actor.subject or "") if self.actor.role is Role.DATA_SUBJECT else None

    @cached_property
    def decisions(self) -> DataLoader[int, DecisionRow | None]:
        """Load decisions of a request in one statement."""
        return DataLoader(lambda numbers: contents.decisions(self.reader, numbers))

    @cached_property
    def accounts(self) -> DataLoader[int, AccountRow | None]:
        """Load accounts of a request in one statement."""
        return DataLoader(lambda numbers: accounts.accounts_of(self.reader, numbers, self.owner))

    @cached_property
    def contents(self) -> DataLoader[int, ContentRow | None]:
        """Load items of a request in one statement."""
        return DataLoader(lambda numbers: contents.contents_of(self.reader, numbers, self.owner))

    @cached_property
    def recipients(self) -> DataLoader[int, list[RecipientRow]]:
        """Load who received a request's items in one statement."""
        return DataLoader(lambda numbers: recipients_of(self.reader, numbers))

    @cached_property
    def notices(self) -> DataLoader[int, list[NoticeRow]]:
        """Load the notices of a request's accounts in one statement."""
        return DataLoader(lambda numbers: consents.notices_of(self.reader, numbers))

    @cached_property
    def objections(self) -> DataLoader[int, list[ObjectionRow]]:
        """Load the objections that reach a request's accounts in one statement."""
        return DataLoader(lambda numbers: consents.objections_of(self.reader, numbers))
