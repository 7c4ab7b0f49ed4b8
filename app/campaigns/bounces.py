"""Read delivery status notifications (RFC 3464): which notices arrived, and which came back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.message import Message
from email.policy import default
from email.utils import parsedate_to_datetime

from db.notices.outbox import DeliveryReport

_BETWEEN_MESSAGES = re.compile(rb"^From .*\r?\n", re.MULTILINE)  # of an mbox
_NOTICE = re.compile(r"told-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^@>\s]+)@", re.MULTILINE | re.IGNORECASE)


def split_mbox(mail: bytes) -> list[bytes]:
    """Cut an mbox of bounced e-mails into its messages; a file that does not begin like an mbox is one message."""
    if not mail.startswith(b"From "):
        return [mail]
    return [message for message in _BETWEEN_MESSAGES.split(mail) if message.strip()]


def read_delivery_report(mail: bytes, now: datetime) -> DeliveryReport | None:
    """Read which notice an e-mail reports as delivered or bounced; None where it reports nothing certain.

    A message that was relayed, expanded or delayed was neither delivered nor did it come back.
    """
    try:
        message = message_from_bytes(mail, policy=default)
        blocks = list(_status_blocks(message))
    except (MessageError, ValueError, LookupError):
        return None
    if not blocks:
        return None
    notice = _notice_id(blocks[0], mail)
    actions = {_header_word(block, "Action"): block for block in blocks[1:]}
    if notice is None:
        return None
    if "failed" in actions:
        return DeliveryReport(notice, None, _arrival_time(actions["failed"], message, now))
    if "delivered" in actions:
        return DeliveryReport(notice, _arrival_time(actions["delivered"], message, now), None)
    return None


def _status_blocks(message: Message) -> Iterator[Message]:
    """Yield the fields of a bounced e-mail as a whole, then those of each recipient."""
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            blocks = part.get_payload()
            if isinstance(blocks, list):
                yield from (block for block in blocks if isinstance(block, Message))
            return


def _notice_id(whole: Message, mail: bytes) -> str | None:
    """Find the notice that a bounced e-mail is about, by the envelope's id or that of the quoted message."""
    envelope = str(whole.get("Original-Envelope-Id", "")).strip()
    quoted = [found.decode("ascii", "replace") for found in _MESSAGE_ID.findall(mail)]
    return next((name for name in (envelope, *quoted) if _NOTICE.fullmatch(name)), None)


def _header_word(block: Message, name: str) -> str:
    """Return a field of a bounced e-mail in lower case, empty if it is missing."""
    return str(block.get(name, "")).strip().lower()


def _arrival_time(block: Message, message: Message, now: datetime) -> datetime:
    """Read when a bounced e-mail was reported; where nothing believable states it, that is now."""
    for said in (block.get("Last-Attempt-Date"), message.get("Date")):
        try:
            instant = parsedate_to_datetime(str(said))
        except (ValueError, TypeError):
            continue
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        if aware <= now:
            return aware
    return now
