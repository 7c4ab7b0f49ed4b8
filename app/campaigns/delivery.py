"""Send notices by e-mail: each exactly once, or recorded as unknown."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from app.campaigns.addresses import Address, AddressFaults
from app.campaigns.notice_text import NoticeWriter
from app.campaigns.smtp import Mailer, MailError, SendResult
from db.connection import Connection, Pool, connection
from db.notices import outbox
from db.notices.outbox import Claim, ClaimOutcome, TaskState

RETRY_PAUSES = (1.0, 3.0, 9.0)
"""The pauses, in seconds, before each new attempt to send a message that the mail server deferred. If the last attempt
fails, the next run of `grounds notice send` sends the message."""
MAX_CONSECUTIVE_REFUSALS = 25
"""If the mail server refuses this number of recipients in a row, it probably rejects the sender, not the recipients."""

_TASK_STATES = {
    SendResult.SENT: TaskState.SENT,
    SendResult.REFUSED: TaskState.FAILED,
    SendResult.DEFERRED: TaskState.PENDING,
    SendResult.UNKNOWN: TaskState.UNKNOWN,
}


class SendRate:
    """A limit of the messages per second."""

    def __init__(self, rate: int) -> None:
        self._between = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        """Wait until the campaign's rate allows the next e-mail."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._between
        await asyncio.sleep(turn - now)


class MailDelivery:
    """The sending of a campaign's messages over several connections, which share one list of addresses."""

    def __init__(
        self, pool: Pool, campaign: int, writer: NoticeWriter, faults: AddressFaults, *, rate: int, retry_unknown: bool
    ) -> None:
        self._pool = pool
        self._campaign = campaign
        self._writer = writer
        self._faults = faults
        self._pace = SendRate(rate)
        self._retry_unknown = retry_unknown
        self._deferred: list[Address] = []
        self._refused_in_a_row = 0

    async def run(
        self, mailers: list[Mailer], addresses: Iterator[Address], stopping: asyncio.Event, on_line: Callable[[], None]
    ) -> None:
        """Send a campaign's e-mail to every address, until none remains or `stopping` is set.

        Raises MailError when the server is of no use. Messages under way are ended first.
        """
        try:
            await self._pass(mailers, addresses, stopping, on_line)
            for pause in RETRY_PAUSES:
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
        """Send a campaign's e-mails to the addresses, with one worker per connection to the mail server."""

        async def work(mailer: Mailer) -> None:
            """Send a campaign's e-mails over one connection until no address remains."""
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
        """Claim, send and settle an e-mail, each committed before the next; return whether the mail server was asked.

        Of a run that is killed in between, the task stays claimed: no run sends it again unless it is told to.
        """
        await mailer.ready()
        async with connection(self._pool) as borrowed:
            claim = await self.claim(borrowed, address)
        if claim is None:
            return False
        result = await self.send(mailer, address, claim)
        async with connection(self._pool) as borrowed:
            await outbox.settle_task(borrowed, claim.task, _TASK_STATES[result])
        if result is SendResult.DEFERRED:
            self._deferred.append(address)
        self._refused_in_a_row = self._refused_in_a_row + 1 if result is SendResult.REFUSED else 0
        if self._refused_in_a_row == MAX_CONSECUTIVE_REFUSALS:
            raise MailError(
                f"the SMTP server refused {MAX_CONSECUTIVE_REFUSALS} recipients in a row (check that the server "
                f"accepts mail from GROUNDS_SMTP_FROM, then run the command again)"
            )
        return True

    async def claim(self, borrowed: Connection, address: Address) -> Claim | None:
        """Claim the e-mail of a campaign to an address; None where there is nothing to send to it."""
        claim = await outbox.claim_task(
            *(borrowed, self._campaign, address.account, address.contact, address.language),
            retry_unknown=self._retry_unknown,
        )
        if claim.outcome is ClaimOutcome.NOT_THEIRS:
            self._faults.add_fault(
                address.line,
                (
                    "account: this e-mail address is not a known contact of the account (correct the account or"
                    " the address)"
                ),
            )
        return claim if claim.outcome is ClaimOutcome.CLAIMED else None

    async def send(self, mailer: Mailer, address: Address, claim: Claim) -> SendResult:
        """Compose and send a campaign's e-mail; a failure before anything is sent returns the task."""
        try:
            text = self._writer.write(address.account, claim.language, claim.claimed_at)
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
        """Return the claim of a campaign's e-mail that was not sent."""
        async with connection(self._pool) as borrowed:
            await outbox.settle_task(borrowed, claim.task, TaskState.PENDING)
