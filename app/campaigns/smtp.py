"""Send one message at a time over one SMTP connection, and report the certain result of each message."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from enum import Enum, auto
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPTimeoutError,
)

from app.campaigns.addresses import Address
from app.campaigns.bounces import NOTICE_HEADER
from app.campaigns.notice_text import NoticeText
from db.notices.outbox import Claim

SMTP_POLICY = SMTP.clone(cte_type="7bit")  # a server need not take more
CONNECT_PAUSES = (0.25, 1.0, 4.0)
"""The pauses, in seconds, between attempts to connect to the mail server."""
TIMEOUT_SECONDS = 60


class SendResult(Enum):
    """The certain result of a message: accepted, rejected, deferred by the server; or unknown."""

    SENT = auto()
    REFUSED = auto()
    DEFERRED = auto()
    UNKNOWN = auto()


class MailError(Exception):
    """The reason why nothing can be sent, and what to do."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes messages."""

    host: str
    port: int
    encrypted: bool
    """Whether TLS starts with the connection. If not, STARTTLS is used, which is optional for a server on this
    machine."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> "MailServer":
        """Read the mail server from a URL of SMTP that the settings have checked."""
        parts = urlsplit(url)
        encrypted = parts.scheme == "smtps"
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.hostname or "", parts.port or (465 if encrypted else 587), encrypted, user, password)

    @property
    def here(self) -> bool:
        """Return whether the mail server is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Mailer:
    """A connection to the mail server, opened when it is needed and again after it was lost."""

    def __init__(self, server: MailServer, sender: str, bounces: str | None = None) -> None:
        self._server = server
        self._bounces = bounces
        self._sender = sender
        self._address = parseaddr(sender)[1]
        self._smtp: aiosmtplib.SMTP | None = None

    async def ready(self) -> None:
        """Connect to the mail server unless that is done; raise MailError when some attempts have failed."""
        if self._smtp is not None and self._smtp.is_connected:
            return
        for pause in (*CONNECT_PAUSES, None):
            try:
                self._smtp = await self._connected()
                return
            except SMTPAuthenticationError as error:
                raise MailError(
                    f"the SMTP server refused the login with {error.code} (check the user and password in GROUNDS_SMTP)"
                ) from None
            except (OSError, SMTPTimeoutError, SMTPConnectError) as error:  # the server may come back
                kind = type(error).__name__
                if pause is not None:
                    await asyncio.sleep(pause)
            except (SMTPException, ValueError) as error:
                kind = type(error).__name__
                break
        raise MailError(
            f"the SMTP server cannot be used, because of {kind} (check GROUNDS_SMTP and that the server"
            " supports TLS, then run the command again to continue)"
        )

    async def send(self, address: Address, notice: str, message: bytes) -> SendResult:
        """Send one e-mail by SMTP; raise MailError when the server accepts none of ours.

        Until the message itself is under way, whatever fails means that it was not sent; from then on only an answer
        of the server's says whether it was.
        """
        smtp = self._smtp
        assert smtp is not None, "ready() comes first"
        dsn = smtp.supports_extension("dsn")
        try:
            await smtp.mail(self._envelope_sender(notice), options=["RET=HDRS", f"ENVID={notice}"] if dsn else [])
            await smtp.rcpt(address.email, options=["NOTIFY=SUCCESS,FAILURE"] if dsn else [])
        except SMTPResponseException as error:
            await self._start_over(smtp)
            return _classify_refusal(error)
        except (SMTPException, OSError):
            smtp.close()
            return SendResult.DEFERRED
        try:
            await smtp.data(message)
        except SMTPDataError as error:
            await self._start_over(smtp)
            return _classify_refusal(error)
        except (SMTPException, OSError):
            smtp.close()
            return SendResult.UNKNOWN
        return SendResult.SENT

    async def close(self) -> None:
        """Close the connection to the mail server with QUIT."""
        if self._smtp is not None and self._smtp.is_connected:
            with suppress(SMTPException, OSError):
                await self._smtp.quit(timeout=5)

    def _envelope_sender(self, notice: str) -> str:
        """Return the address for bounces of a notice; with a bounce mailbox, it contains the notice's id (VERP)."""
        if self._bounces is None:
            return self._address
        local, _, domain = self._bounces.rpartition("@")
        return f"{local}+{notice}@{domain}"

    async def _connected(self) -> aiosmtplib.SMTP:
        """Open a connection to the mail server, encrypted unless the server is on this machine."""
        server = self._server
        smtp = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.encrypted,
            start_tls=False if server.encrypted else None if server.here else True,
            timeout=TIMEOUT_SECONDS,
        )
        await smtp.connect()
        await smtp.ehlo()
        return smtp

    def message(self, address: Address, claim: Claim, text: NoticeText) -> bytes:
        """Compose the e-mail of a notice, with the notice's id in Message-ID and a header, to recognise a bounce."""
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._sender
        message["To"] = address.email
        message["Subject"] = text.subject
        message["Date"] = format_datetime(claim.claimed_at)
        message["Message-ID"] = f"<{claim.notice}@{self._address.rpartition('@')[2]}>"
        message[NOTICE_HEADER] = claim.notice
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text.body)
        message["Content-Language"] = text.language
        return message.as_bytes()

    @staticmethod
    async def _start_over(smtp: aiosmtplib.SMTP) -> None:
        """Reset the connection to the mail server after a refused e-mail, or close it."""
        try:
            await smtp.rset()
        except (SMTPException, OSError):
            smtp.close()


def _classify_refusal(error: SMTPResponseException) -> SendResult:
    """Classify a mail server's refusal: of this e-mail for now, of it for good, or of all from this sender."""
    if error.code < 500:
        return SendResult.DEFERRED
    if isinstance(error, SMTPSenderRefused):
        raise MailError(
            f"the SMTP server refused the sender with {error.code} (check the user in GROUNDS_SMTP,"
            " and that the server accepts mail from the address in GROUNDS_SMTP_FROM)"
        )
    return SendResult.REFUSED
