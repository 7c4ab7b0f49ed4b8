"""Tell people by e-mail: each exactly once, or it is recorded that nobody knows."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from app.notices.addresses import Address, Faults
from app.notices.mail import Fate, Mailer, MailError
from app.notices.templates import Writer
from db import campaign as outbox
from db.campaign import Claim, Claimed, TaskState
from db.session import Connection, Pool, connection

PAUSES = (1.0, 3.0, 9.0)
"""How long those wait, in seconds, whom the server would take later; after that a later run tries them."""
REFUSED_IN_A_ROW = 25
"""So many refusals without one message taken mean that it is us whom the server does not want."""

_STATE = {
    Fate.SENT: TaskState.SENT,
    Fate.REFUSED: TaskState.FAILED,
    Fate.DEFERRED: TaskState.PENDING,
    Fate.UNKNOWN: TaskState.UNKNOWN,
}


class Pace:
    """Let so many messages a second go."""

    def __init__(self, rate: int) -> None:
        self._between = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._between
        await asyncio.sleep(turn - now)


class Mailing:
    """Send a campaign's messages over several connections, all of which draw from one list of addresses."""

    def __init__(
        self, pool: Pool, campaign: int, writer: Writer, faults: Faults, *, rate: int, retry_unknown: bool
    ) -> None:
        self._pool = pool
        self._campaign = campaign
        self._writer = writer
        self._faults = faults
        self._pace = Pace(rate)
        self._retry_unknown = retry_unknown
        self._deferred: list[Address] = []
        self._refused_in_a_row = 0

    async def run(
        self, mailers: list[Mailer], addresses: Iterator[Address], stopping: asyncio.Event, on_line: Callable[[], None]
    ) -> None:
        """Tell everybody, until there is nobody left or `stopping` is set.

        Raises MailError when the server is of no use. Messages under way are ended first.
        """
        try:
            await self._pass(mailers, addresses, stopping, on_line)
            for pause in PAUSES:
                if not self._deferred or stopping.is_set():
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), pause)
                again, self._deferred = self._deferred, []
                await self._pass(mailers, iter(again), stopping, lambda: None)
        finally:
            await asyncio.gather(*(mailer.close() for mailer in mailers))

    async def _pass(
        self, mailers: list[Mailer], addresses: Iterator[Address], stopping: asyncio.Event, on_line: Callable[[], None]
    ) -> None:
        async def work(mailer: Mailer) -> None:
            its_turn = False
            try:
                for address in addresses:
                    if stopping.is_set():
                        break
                    if not its_turn:
                        await self._pace.wait()
                    its_turn = not await self.tell(mailer, address)
                    on_line()
            except BaseException:
                stopping.set()
                raise

        for ended in await asyncio.gather(*map(work, mailers), return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def tell(self, mailer: Mailer, address: Address) -> bool:
        """Claim, send, settle, each committed before the next begins; say whether the server was asked.

        Of a run that is killed in between, the task stays claimed: no run sends it again unless it is told to.
        """
        await mailer.ready()
        async with connection(self._pool) as borrowed:
            claim = await self.claim(borrowed, address)
        if claim is None:
            return False
        fate = await self.send(mailer, address, claim)
        async with connection(self._pool) as borrowed:
            await outbox.settle(borrowed, claim.task, _STATE[fate])
        if fate is Fate.DEFERRED:
            self._deferred.append(address)
        self._refused_in_a_row = self._refused_in_a_row + 1 if fate is Fate.REFUSED else 0
        if self._refused_in_a_row == REFUSED_IN_A_ROW:
            raise MailError(
                f"the SMTP server refused {REFUSED_IN_A_ROW} recipients in a row (see what it lets GROUNDS_SMTP_FROM"
                " send, then run the command again: it tries them anew)"
            )
        return True

    async def claim(self, borrowed: Connection, address: Address) -> Claim | None:
        """Take the task of an address; None where there is nothing to send to it."""
        claim = await outbox.claim(
            borrowed, self._campaign, address.account, address.contact, retry_unknown=self._retry_unknown
        )
        if claim.outcome is Claimed.NOT_THEIRS:
            self._faults.add(address.line, "account: has no such address among its contacts (correct one of them)")
        return claim if claim.outcome is Claimed.CLAIMED else None

    async def send(self, mailer: Mailer, address: Address, claim: Claim) -> Fate:
        """Write to somebody and hand it over; what fails before anything leaves gives the task back."""
        try:
            language = address.language or claim.language
            text = self._writer.write(address.account, claim.product, language, claim.claimed_at)
            message = mailer.message(address, claim, text)
        except Exception:
            await self._give_back(claim)
            raise
        try:
            return await mailer.send(address, claim.notice, message)
        except MailError:
            await self._give_back(claim)
            raise

    async def _give_back(self, claim: Claim) -> None:
        async with connection(self._pool) as borrowed:
            await outbox.settle(borrowed, claim.task, TaskState.PENDING)
