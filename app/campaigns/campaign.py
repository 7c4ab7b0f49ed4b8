"""Run a campaign: send its message to each account that it goes to.

A notice goes to the accounts that `grounds.accounts_requiring_notice` selects: active accounts of the policy's kinds
and regions, on a product that the campaign tells of, that no notice of it or a later campaign told of some use. Of
adults only: minors, and accounts whose age or country is unknown, cannot qualify and are left out, as are those who
have objected to everything. A later run tells those who qualify later. A reminder goes to those whose notice was
delivered and whose period has not ended.
"""

import asyncio
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.campaigns.addresses import AddressFaults, count_lines, read_addresses
from app.campaigns.bounces import Unread, read_delivery_report
from app.campaigns.delivery import MailDelivery
from app.campaigns.notice_text import NoticeText, NoticeWriter, check_controller, check_text
from app.campaigns.smtp import Mailer, MailError, MailServer
from app.server.journal import open_journal
from app.settings import Settings, SettingsError
from app.telemetry import observe
from db.connection import Connection, Pool, connection, open_database
from db.notices import campaign_texts, outbox
from db.notices.outbox import CampaignRunning, DeliveryReport, TaskState, WrittenNotice
from db.policies.store import policy_of
from db.policy.document import Policy
from db.vocabulary import MessageKind, NoticeChannel

CHUNK_SIZE = 500
EXIT_INCOMPLETE = 3
EXIT_INTERRUPTED = 130
_EPOCH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_REMAINING_STATES = {TaskState.PENDING, TaskState.UNKNOWN, TaskState.FAILED}


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """The options of a campaign; `rate` is in messages per second."""

    epoch: str
    message: MessageKind
    channels: tuple[NoticeChannel, ...]
    addresses: Path | None
    rate: int
    connections: int
    retry_unknown: bool


def parse_campaign_options(
    epoch: str,
    message: MessageKind,
    channels: str,
    addresses: Path | None,
    rate: int,
    connections: int,
    retry_unknown: bool,
) -> CampaignOptions:
    """Check the options of a campaign's sending; raise SettingsError when they are no campaign."""
    if not _EPOCH.fullmatch(epoch):
        raise SettingsError("--epoch: must be a month (write it as YYYY-MM, such as 2026-04)")
    try:
        wanted = tuple(dict.fromkeys(NoticeChannel(name.strip().upper()) for name in channels.split(",")))
    except ValueError:
        raise SettingsError(
            f"--channel: must be a list of channels (choose from {','.join(NoticeChannel)}, separated by commas)"
        ) from None
    return CampaignOptions(epoch, message, wanted, addresses, rate, connections, retry_unknown)


class CampaignError(Exception):
    """The reason why a campaign cannot go on, and what to do."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: what its channels share."""

    pool: Pool
    plan: CampaignOptions
    settings: Settings
    writer: NoticeWriter
    faults: AddressFaults
    stopping: asyncio.Event

    async def rehearse(self) -> None:
        """Rehearse a campaign without sending, in a transaction that is rolled back; print its counts and one text."""
        out = Console(highlight=False)
        table = Table("channel", "language", "messages to send")
        texts: list[NoticeText] = []
        for channel in self.plan.channels:
            told: Counter[str] = Counter()
            async with connection(self.pool) as borrowed:
                transaction = borrowed.transaction()
                await transaction.start()
                try:
                    async for language in self._would_be_told(borrowed, channel):
                        told[language] += 1
                        texts = texts or [self.writer.example(language)]
                finally:
                    await transaction.rollback()
            for language, count in sorted(told.items()):
                table.add_row(channel, language, str(count))
        out.print(table)
        for text in texts:
            print(f"\nSubject: {text.subject}\n\n{text.body}", end="")

    async def _would_be_told(self, borrowed: Connection, channel: NoticeChannel) -> AsyncIterator[str]:
        """Yield the language of each notice that a campaign would send by a channel."""
        number = await outbox.open_campaign(borrowed, self.plan.epoch, self.plan.message, channel)
        await outbox.settle_interrupted_tasks(borrowed, number)
        if channel is NoticeChannel.IN_APP:
            async for chunk in _unwritten_chunks(borrowed, number):
                for waiting in chunk:
                    yield waiting.language
            return
        mailing = self._mailing(number)
        for address in read_addresses(self.faults.file, self.faults):
            claim = await mailing.claim(borrowed, address)
            if claim is not None:
                yield claim.language

    async def run(self) -> bool:
        """Send a campaign's notices by every channel, and print the results; return whether all is well."""
        table = Table("channel", "state", "notices")
        well = True
        for channel in self.plan.channels:
            async with connection(self.pool) as borrowed:
                number = await outbox.open_campaign(borrowed, self.plan.epoch, self.plan.message, channel)
                await outbox.settle_interrupted_tasks(borrowed, number)
            try:
                await (self._mail(number) if channel is NoticeChannel.EMAIL else self._fill_outbox(number))
            finally:
                async with connection(self.pool) as borrowed:
                    await outbox.settle_interrupted_tasks(borrowed, number)
                    counts = await outbox.count_tasks(borrowed, number)
            observe.notified(channel, **{state.lower(): counts.get(state, 0) for state in TaskState})
            for state, count in sorted(counts.items()):
                table.add_row(channel, state, str(count))
            well = well and (channel is NoticeChannel.IN_APP or not _REMAINING_STATES & counts.keys())
        Console(highlight=False).print(table)
        return well

    async def _mail(self, number: int) -> None:
        """Send a campaign's notices by e-mail over several connections, with a progress bar."""
        server, sender = MailServer.of(self.settings.smtp or ""), self.settings.smtp_from or ""
        mailers = [Mailer(server, sender, self.settings.smtp_bounces) for _ in range(self.plan.connections)]
        console = Console(stderr=True)
        columns = (TextColumn("sending e-mail"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=count_lines(self.faults.file))
            await self._mailing(number).run(
                mailers, read_addresses(self.faults.file, self.faults), self.stopping, lambda: progress.advance(task)
            )

    def _mailing(self, number: int) -> MailDelivery:
        """Make the delivery by e-mail of a campaign's notices, with the plan's rate."""
        return MailDelivery(
            self.pool,
            number,
            self.writer,
            self.faults,
            rate=self.plan.rate,
            retry_unknown=self.plan.retry_unknown,
        )

    async def _fill_outbox(self, number: int) -> None:
        """Write a campaign's in-app text of every account that waits for one."""
        async with connection(self.pool) as borrowed:
            async for chunk in _unwritten_chunks(borrowed, number):
                if self.stopping.is_set():
                    break
                texts = []
                for waiting in chunk:
                    text = self.writer.write(waiting.account, waiting.language, waiting.asked_at)
                    texts.append(WrittenNotice(waiting.task, text.language, text.subject, text.body))
                await outbox.write_notices(borrowed, texts)


async def run_campaign(settings: Settings, url: str, plan: CampaignOptions, *, dry_run: bool) -> int:
    """Run a campaign, or rehearse it; return the exit code: 0, ATTENTION if any account remains, or INTERRUPTED.

    Raises SettingsError or CampaignError, possibly after some notices were sent; a second run continues.
    """
    _check_options(settings, plan, dry_run)
    faults = AddressFaults(plan.addresses or Path())
    async with (
        open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database,
        _stop_on_signals() as stopping,
    ):
        policy = await policy_of(database.dashboard, None)
        assert policy is not None, "a policy is in force after the database was prepared"
        writer = await _open_writer(settings, database.worker, plan, policy)
        campaign = Campaign(database.worker, plan, settings, writer, faults, stopping)
        try:
            async with outbox.hold_campaign_lock(database.worker, plan.epoch):
                if dry_run:
                    await campaign.rehearse()
                    well = True
                else:
                    well = await campaign.run()
        except CampaignRunning:
            raise CampaignError(
                f"--epoch: another run of campaign {plan.epoch} is in progress (wait until it has ended)"
            ) from None
        except MailError as error:
            raise CampaignError(str(error)) from None
        except asyncio.CancelledError:  # by the second signal
            return EXIT_INTERRUPTED
        finally:
            _print_faults(faults)
        if stopping.is_set():
            return EXIT_INTERRUPTED
    return 0 if well and not faults.count else EXIT_INCOMPLETE


UNREAD_WORDS: Final = {
    Unread.NO_NOTICE: "without a notice",
    Unread.PENDING: "pending",
    Unread.OTHER_FORM: "quoting a notice in an unknown form",
}


async def record_bounces(
    settings: Settings, url: str, mails: Iterable[bytes], *, relayed_counts: bool = False
) -> Counter[str]:
    """Record what bounced e-mails state of notices; count delivered, bounced, and those that state nothing certain."""
    counts: Counter[str] = Counter()
    async with open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database:
        async with connection(database.worker) as borrowed:
            now = await borrowed.fetchval("SELECT grounds.decision_time()")
        reports: list[DeliveryReport] = []
        for mail in mails:
            report = read_delivery_report(mail, now, relayed_counts=relayed_counts)
            if isinstance(report, Unread):
                counts[UNREAD_WORDS[report]] += 1
            else:
                reports.append(report)
        for start in range(0, len(reports), CHUNK_SIZE):
            for state in await outbox.record_deliveries(database.worker, reports[start : start + CHUNK_SIZE]):
                counts["without a notice" if state is None else state.lower()] += 1
    return counts


def _check_options(settings: Settings, plan: CampaignOptions, dry_run: bool) -> None:
    """Raise SettingsError with one line for every option that a campaign's sending lacks."""
    missing = (
        []
        if settings.public_url
        else ["GROUNDS_PUBLIC_URL: is not set (set it to the address of the gateway's pages, to which notices link)"]
    )
    if NoticeChannel.EMAIL in plan.channels:
        if plan.addresses is None:
            missing.append(
                "--addresses: is missing (pass a file with the columns account, email and language, or omit EMAIL)"
            )
        if not dry_run and not (settings.smtp and settings.smtp_from):
            missing.append("GROUNDS_SMTP or GROUNDS_SMTP_FROM: is not set (set both to send e-mail)")
    if missing:
        raise SettingsError("\n".join(missing))
    if plan.addresses is not None:
        next(
            read_addresses(plan.addresses, AddressFaults(plan.addresses)), None
        )  # what is no such file is refused here


async def _open_writer(settings: Settings, pool: Pool, plan: CampaignOptions, policy: Policy) -> NoticeWriter:
    """Read a campaign's registered texts; raise SettingsError if it has none, or if its notices would not count."""
    if plan.epoch < policy.notice.epoch:
        raise SettingsError(
            f"--epoch: {plan.epoch} is too early, because the policy counts only notices from the epoch"
            f" {policy.notice.epoch} on (use {policy.notice.epoch} or a later epoch)"
        )
    async with connection(pool) as borrowed:
        stored = await campaign_texts.stored_campaign(borrowed, plan.epoch)
        texts = await campaign_texts.registered_texts(borrowed, plan.epoch, plan.message)
    if stored is None or not stored.counts:
        raise SettingsError(
            f"--epoch: the campaign {plan.epoch} is not registered, so its notices would not count (register"
            " it with grounds campaign register)"
        )
    if not texts:
        raise SettingsError(
            f"--epoch: the campaign {plan.epoch} has no registered text for its {plan.message.lower()}"
            " message (register it with grounds campaign register)"
        )
    check_controller(policy)
    for language, text in texts.items():
        try:
            check_text(language, text, plan.message, policy)
        except ValueError as error:
            raise SettingsError(
                f"--epoch: the text {language} of the campaign {plan.epoch} does not fit the policy in force: "
                f"{error}; register another campaign"
            ) from None
    return NoticeWriter(texts, settings.secret_bytes(), settings.public_url or "")


async def _unwritten_chunks(borrowed: Connection, number: int) -> AsyncIterator[list[outbox.UnwrittenNotice]]:
    """Yield a campaign's in-app notices whose text is not written yet, some at a time."""
    after = 0
    while chunk := await outbox.unwritten_notices(borrowed, number, after, CHUNK_SIZE):
        yield chunk
        after = chunk[-1].task


@asynccontextmanager
async def _stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """Stop a campaign's sending at the first signal after the current messages have ended; at the second, stop at
    once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    ours = asyncio.current_task()
    assert ours is not None, "a coroutine runs in a task"

    def stop() -> None:
        """Ask a campaign's sending to stop, or cancel it if that was asked before."""
        if stopping.is_set():
            ours.cancel()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield stopping
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _print_faults(faults: AddressFaults) -> None:
    """Print the first faults of a campaign's file of addresses, and how many more there are."""
    for fault in faults.shown:
        print(fault, file=sys.stderr)
    if faults.count > len(faults.shown):
        print(f"{faults.file}: {faults.count - len(faults.shown)} more lines have faults", file=sys.stderr)
