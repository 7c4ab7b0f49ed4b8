"""Run a campaign: tell everybody who must be told and was not.

Who that is, is decided by `grounds.must_be_told`: active accounts of the policy's kinds, regions and products that no
notice of the epoch or later reached. Of adults only: minors, and accounts whose age or country is unknown, cannot
qualify and are left out, and so is who has objected to everything. Who can qualify later is told by a later run.
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

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.notices.addresses import Faults, count_lines, read_addresses
from app.notices.bounces import messages_of, read_report
from app.notices.mail import Mailer, MailError, MailServer
from app.notices.mailing import Mailing
from app.notices.templates import Text, Writer, open_writer
from app.observe import observe
from app.settings import Settings, SettingsError
from db import campaign as outbox
from db.campaign import AlreadyRunning, Report, TaskState, Written
from db.policies import policy_of
from db.policy.document import Policy
from db.records import NoticeChannel
from db.session import Connection, Pool, connection, open_database

CHUNK = 500
ATTENTION = 3
INTERRUPTED = 130
_EPOCH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_LEFT = {TaskState.PENDING, TaskState.UNKNOWN, TaskState.FAILED}


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what a campaign is asked to do; `rate` is messages a second."""

    epoch: str
    channels: tuple[NoticeChannel, ...]
    addresses: Path | None
    templates: Path | None
    rate: int
    connections: int
    retry_unknown: bool


def asked(
    epoch: str,
    channels: str,
    addresses: Path | None,
    templates: Path | None,
    rate: int,
    connections: int,
    retry_unknown: bool,
) -> Plan:
    """Read what the command line asks; raise SettingsError when that is no campaign."""
    if not _EPOCH.fullmatch(epoch):
        raise SettingsError("--epoch: is no month (write it like 2026-04)")
    try:
        wanted = tuple(dict.fromkeys(NoticeChannel(name.strip().upper()) for name in channels.split(",")))
    except ValueError:
        raise SettingsError(f"--channel: names no channel (write some of {','.join(NoticeChannel)})") from None
    return Plan(epoch, wanted, addresses, templates, rate, connections, retry_unknown)


class CampaignError(Exception):
    """Say why a campaign cannot go on, and what to do."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """Hold what the channels of a campaign share."""

    pool: Pool
    plan: Plan
    settings: Settings
    writers: dict[NoticeChannel, Writer]
    faults: Faults
    stopping: asyncio.Event

    async def rehearse(self) -> None:
        """Do everything but send in a transaction that is rolled back; print how many would be told, and one text."""
        out = Console(highlight=False)
        table = Table("channel", "language", "would be told")
        texts: list[Text] = []
        for channel in self.plan.channels:
            told: Counter[str] = Counter()
            async with connection(self.pool) as borrowed:
                transaction = borrowed.transaction()
                await transaction.start()
                try:
                    async for product, language in self._would_be_told(borrowed, channel):
                        text = self.writers[channel].example(product, language)
                        told[text.language] += 1
                        texts = texts or [text]
                finally:
                    await transaction.rollback()
            for language, count in sorted(told.items()):
                table.add_row(channel, language, str(count))
        out.print(table)
        for text in texts:
            print(f"\nSubject: {text.subject}\n\n{text.body}", end="")

    async def _would_be_told(
        self, borrowed: Connection, channel: NoticeChannel
    ) -> AsyncIterator[tuple[str, str | None]]:
        number = await outbox.open_campaign(borrowed, self.plan.epoch, channel)
        await outbox.settle_broken_off(borrowed, number)
        if channel is NoticeChannel.IN_APP:
            async for chunk in _unwritten(borrowed, number):
                for waiting in chunk:
                    yield waiting.product, waiting.language
            return
        mailing = self._mailing(number)
        for address in read_addresses(self.faults.file, self.faults):
            claim = await mailing.claim(borrowed, address)
            if claim is not None:
                yield claim.product, address.language or claim.language

    async def run(self) -> bool:
        """Tell people by every channel, and print what came of it; say whether all is well."""
        table = Table("channel", "state", "notices")
        well = True
        for channel in self.plan.channels:
            async with connection(self.pool) as borrowed:
                number = await outbox.open_campaign(borrowed, self.plan.epoch, channel)
                await outbox.settle_broken_off(borrowed, number)
            try:
                await (self._mail(number) if channel is NoticeChannel.EMAIL else self._fill_outbox(number))
            finally:
                async with connection(self.pool) as borrowed:
                    await outbox.settle_broken_off(borrowed, number)
                    counts = await outbox.counts(borrowed, number)
            observe.notified(channel, **{state.lower(): counts.get(state, 0) for state in TaskState})
            for state, count in sorted(counts.items()):
                table.add_row(channel, state, str(count))
            well = well and (channel is NoticeChannel.IN_APP or not _LEFT & counts.keys())
        Console(highlight=False).print(table)
        return well

    async def _mail(self, number: int) -> None:
        server, sender = MailServer.of(self.settings.smtp or ""), self.settings.smtp_from or ""
        mailers = [Mailer(server, sender) for _ in range(self.plan.connections)]
        console = Console(stderr=True)
        columns = (TextColumn("telling by e-mail"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=count_lines(self.faults.file))
            await self._mailing(number).run(
                mailers, read_addresses(self.faults.file, self.faults), self.stopping, lambda: progress.advance(task)
            )

    def _mailing(self, number: int) -> Mailing:
        return Mailing(
            self.pool,
            number,
            self.writers[NoticeChannel.EMAIL],
            self.faults,
            rate=self.plan.rate,
            retry_unknown=self.plan.retry_unknown,
        )

    async def _fill_outbox(self, number: int) -> None:
        """Write to everybody who waits for a text in the app."""
        writer = self.writers[NoticeChannel.IN_APP]
        async with connection(self.pool) as borrowed:
            async for chunk in _unwritten(borrowed, number):
                if self.stopping.is_set():
                    break
                texts = []
                for waiting in chunk:
                    text = writer.write(waiting.account, waiting.product, waiting.language, waiting.asked_at)
                    texts.append(Written(waiting.task, text.language, text.subject, text.body))
                await outbox.write(borrowed, texts)


async def notify(settings: Settings, url: str, plan: Plan, *, dry_run: bool) -> int:
    """Run a campaign, or rehearse it; give the exit code: 0, ATTENTION where somebody is left, or INTERRUPTED.

    Raises SettingsError or CampaignError before or after somebody is told; running it again goes on.
    """
    _check(settings, plan, dry_run)
    faults = Faults(plan.addresses or Path())
    async with open_database(url, settings.secret_bytes()) as database, _interruptible() as stopping:
        policy = await policy_of(database.dashboard, None)
        assert policy is not None, "preparing the database puts one in force"
        campaign = Campaign(database.worker, plan, settings, _writers(settings, plan, policy), faults, stopping)
        try:
            async with outbox.only_run(database.worker, plan.epoch):
                if dry_run:
                    await campaign.rehearse()
                    well = True
                else:
                    well = await campaign.run()
        except AlreadyRunning:
            raise CampaignError(f"--epoch: another run of {plan.epoch} is under way (wait for its end)") from None
        except MailError as error:
            raise CampaignError(str(error)) from None
        except asyncio.CancelledError:  # by the second signal
            return INTERRUPTED
        finally:
            _print_faults(faults)
        if stopping.is_set():
            return INTERRUPTED
    return 0 if well and not faults.count else ATTENTION


async def read_bounces(settings: Settings, url: str, mails: Iterable[bytes]) -> Counter[str]:
    """Record what delivery status notifications say of notices; count delivered, bounced, and those of no notice."""
    counts: Counter[str] = Counter()
    async with open_database(url, settings.secret_bytes()) as database:
        async with connection(database.worker) as borrowed:
            now = await borrowed.fetchval("SELECT grounds.decision_time()")
        reports: list[Report] = []
        for mail in (message for each in mails for message in messages_of(each)):
            report = read_report(mail, now)
            if report is None:
                counts["of no notice"] += 1
            else:
                reports.append(report)
        for start in range(0, len(reports), CHUNK):
            for state in await outbox.record_deliveries(database.worker, reports[start : start + CHUNK]):
                counts["of no notice" if state is None else state.lower()] += 1
    return counts


def _check(settings: Settings, plan: Plan, dry_run: bool) -> None:
    """Raise SettingsError with one line for everything that is missing."""
    missing = [] if settings.public_url else ["GROUNDS_PUBLIC_URL: is not set (notices link to the pages there)"]
    if NoticeChannel.EMAIL in plan.channels:
        if plan.addresses is None:
            missing.append("--addresses: is missing (name a file of account,email,language, or leave EMAIL out)")
        if not dry_run and not (settings.smtp and settings.smtp_from):
            missing.append("GROUNDS_SMTP or GROUNDS_SMTP_FROM: is not set (e-mail needs both)")
    if missing:
        raise SettingsError("\n".join(missing))
    if plan.addresses is not None:
        next(read_addresses(plan.addresses, Faults(plan.addresses)), None)  # what is no such file is refused here


def _writers(settings: Settings, plan: Plan, policy: Policy) -> dict[NoticeChannel, Writer]:
    if plan.epoch < policy.notice.epoch:
        raise SettingsError(
            f"--epoch: {plan.epoch} is before {policy.notice.epoch}, from which on the policy counts notices"
            " (name that one or a later one)"
        )
    secret, site = settings.secret_bytes(), settings.public_url or ""
    return {channel: open_writer(plan.templates, channel, policy, secret, site) for channel in plan.channels}


async def _unwritten(borrowed: Connection, number: int) -> AsyncIterator[list[outbox.Unwritten]]:
    after = 0
    while chunk := await outbox.unwritten(borrowed, number, after, CHUNK):
        yield chunk
        after = chunk[-1].task


@asynccontextmanager
async def _interruptible() -> AsyncIterator[asyncio.Event]:
    """Ask for the end at the first signal, when what is under way has ended; break off at the second."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    ours = asyncio.current_task()
    assert ours is not None, "a coroutine runs in a task"

    def stop() -> None:
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


def _print_faults(faults: Faults) -> None:
    for fault in faults.shown:
        print(fault, file=sys.stderr)
    if faults.count > len(faults.shown):
        print(f"{faults.file}: {faults.count - len(faults.shown)} more lines like these", file=sys.stderr)
