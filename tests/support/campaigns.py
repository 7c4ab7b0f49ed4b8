"""What tests of campaigns stand on: people with addresses, and a real SMTP server that says what it was sent."""

import asyncio
import json
import re
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from app.campaigns.registration import register_campaign
from db.connection import connection, open_database
from db.ingest.contacts import contact_hash
from db.notices import outbox
from db.vocabulary import MessageKind
from tests.support.command import environment, grounds
from tests.support.facts import NOW, fact
from tests.support.fork_server import BUILD, ForkedCommand
from tests.support.gateway import SECRET, TestGateway

EPOCH = "2026-05"
CAMPAIGN: dict[str, Any] = {
    "record": "campaign",
    "id": EPOCH,
    "told": [
        {
            "purposes": ["GENAI_TRAINING"],
            "kinds": ["POST", "COMMENT", "CAPTION", "PHOTO"],
            "products": ["FACEBOOK", "INSTAGRAM"],
        },
        {
            "purposes": ["GENAI_TRAINING"],
            "kinds": ["AI_INTERACTION"],
            "products": ["FACEBOOK", "INSTAGRAM", "MESSENGER"],
        },
    ],
    "texts": {},
    "observed_at": "2026-01-02T00:00:00Z",
}
SITE = "https://grounds.example.org"
FROM = "Example Platform <privacy@example.org>"


@dataclass
class MailServer:
    """A listening mail server, and the messages that it accepted."""

    port: int = 0
    pause: float = 0.0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    answer: Callable[[str, int], str | None] = lambda recipient, attempt: None
    """What RCPT is answered instead of 250."""
    answer_to_data: Callable[[str], str | None] = lambda recipient: None
    reports: bool = False
    """Whether it offers delivery status notifications (RFC 3461)."""
    asked_to_report: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    """The senders in the envelopes."""
    encrypted: set[bool] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    on_taken: Callable[[int], None] = lambda count: None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> Counter[str]:
        """Count the messages that each recipient got."""
        return Counter(recipient for recipient, _ in self.taken)

    def message(self, recipient: str) -> EmailMessage:
        """Return the one message to a recipient."""
        (found,) = [message for name, message in self.taken if name == recipient]
        message = message_from_bytes(found, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    def text(self, recipient: str) -> str:
        """Return the text of the one message to a recipient."""
        return str(self.message(recipient).get_content()).replace("\r\n", "\n")

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [responses[0], *(["250-DSN"] if self.reports else []), *responses[1:]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts[address] += 1
        refusal = self.answer(address, self.attempts[address])
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        (recipient,) = envelope.rcpt_tos
        if refusal := self.answer_to_data(recipient):
            return refusal
        assert isinstance(envelope.content, bytes)
        self.encrypted.add(session.ssl is not None)
        self.taken.append((recipient, envelope.content))
        self.senders.append(str(envelope.mail_from))
        self.on_taken(len(self.taken))
        await asyncio.sleep(self.pause)
        return "250 OK"

    async def handle_exception(self, error: Exception) -> str:
        return "451 the client went away"


class Reporting(SMTP):
    """An SMTP handler that reads RFC 3461's parameters of MAIL and RCPT, which aiosmtpd does not know."""

    async def smtp_MAIL(self, arg: str | None) -> None:
        await super().smtp_MAIL(self._without(arg))

    async def smtp_RCPT(self, arg: str | None) -> None:
        await super().smtp_RCPT(self._without(arg))

    def _without(self, arg: str | None) -> str | None:
        handler: MailServer = self.event_handler
        if arg is None or not handler.reports:
            return arg
        handler.asked_to_report += _OF_REPORTS.findall(arg)
        return _OF_REPORTS.sub("", arg)


_OF_REPORTS = re.compile(r" (?:RET|ENVID|NOTIFY)=\S+")


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None, **answers: Any) -> Iterator[MailServer]:
    """Listen on a free port until the block ends."""
    server = MailServer(**answers)
    listening = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        listener = await loop.create_server(
            lambda: Reporting(server, enable_SMTPUTF8=False, tls_context=tls, loop=loop), "127.0.0.1", 0
        )
        server.port = listener.sockets[0].getsockname()[1]
        listening.set()
        async with listener:
            await ending.wait()
        for task in asyncio.all_tasks(loop) - {asyncio.current_task(loop)}:
            task.cancel()

    ending = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    listening.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()


async def peopled(gateway: TestGateway, *accounts: str, templates: Path | None = None) -> None:
    """Load accounts that must be told, and register the campaign."""
    gateway.set_clock(NOW)
    answer = await gateway.ingest([person(account) for account in accounts])
    assert answer["total"]["rejected"] == 0
    await register(gateway, templates=templates)


async def register(
    gateway: TestGateway,
    record: dict[str, Any] = CAMPAIGN,
    message: MessageKind = MessageKind.NOTICE,
    templates: Path | None = None,
) -> dict[str, str]:
    """Register a campaign; return the SHA-256 of its texts by language."""
    async with open_database(gateway.database_url, SECRET) as database:
        return await register_campaign(database, json.dumps(record).encode(), message, templates)


def email_of(account: str) -> str:
    return f"{account}@example.org"


def person(account: str, **fields: Any) -> dict[str, Any]:
    """State an account that must be told, whose address is `email_of` it."""
    return fact("account", id=account, **{"contacts": [contact_hash(email_of(account))], **fields})


def addresses(file: Path, *accounts: str, language: str = "") -> Path:
    lines = [f"{account},{email_of(account)},{language}" for account in accounts]
    file.write_text("\n".join(["account,email,language", *lines]) + "\n")
    return file


def settings_of(database_url: str, server: MailServer | None) -> dict[str, str]:
    """Return the environment of a `grounds notice send` on a test's database."""
    return {
        **{"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode(), "GROUNDS_PUBLIC_URL": SITE},
        **({"GROUNDS_SMTP": server.url, "GROUNDS_SMTP_FROM": FROM} if server else {}),
    }


def notify(
    database_url: str, server: MailServer | None, data: Path, *arguments: object, build: str = BUILD, **env: str
) -> "subprocess.CompletedProcess[str]":
    """Run `grounds notice send`, or another build of it, to its end."""
    return grounds(
        *("notice", "send", "--epoch", EPOCH, "--rate", 1000, *arguments),
        data=data,
        env=settings_of(database_url, server) | env,
        build=build,
    )


def start(database_url: str, server: MailServer, data: Path, build: str, *arguments: object) -> ForkedCommand:
    """Start `grounds notice send`, or another build of it; it logs to `data` with the suffix ".log"."""
    ours = environment(data, settings_of(database_url, server))
    with data.with_suffix(".log").open("wb") as log:
        line = ("notice", "send", "--epoch", EPOCH, *arguments)
        return ForkedCommand(*line, build=build, env=ours, stdout=log.fileno(), stderr=log.fileno())


def notify_until(database_url: str, server: MailServer, data: Path, taken: int, build: str, *arguments: object) -> None:
    """Run `grounds notice send`, and kill it (SIGKILL) as soon as the server has taken so many messages."""
    reached = threading.Event()
    process = start(database_url, server, data, build, *arguments)

    def kill(count: int) -> None:
        if count >= taken and not reached.is_set():
            process.kill()
            reached.set()

    server.on_taken = kill
    process.wait(600)
    server.on_taken = lambda count: None
    assert reached.is_set(), "it ended before it was killed"


async def put_into_outbox(gateway: TestGateway) -> None:
    """Let everybody who must be told find a notice in the app."""
    await gateway.ingest([CAMPAIGN])
    async with open_database(gateway.database_url, SECRET) as database, connection(database.worker) as borrowed:
        campaign = await outbox.open_campaign(borrowed, EPOCH, MessageKind.NOTICE, "IN_APP")
        waiting = await outbox.unwritten_notices(borrowed, campaign, 0, 100)
        await outbox.write_notices(
            borrowed, [outbox.WrittenNotice(each.task, "en", "You can object", "Here.") for each in waiting]
        )


def states(gateway: TestGateway) -> dict[str, str]:
    """Return the state of each account's task."""
    return dict(
        gateway.execute(
            "SELECT a.platform_id, t.state FROM grounds.notice_task t JOIN grounds.account a ON a.id = t.account"
        )
    )
