"""Read delivery status notifications (RFC 3464): which notices were delivered, and which bounced.

Which notice a report is about is read from where mail systems keep it: the envelope's id, a header of ours or the
Message-ID of the quoted message, or the address that the report was sent to (VERP).
"""

import binascii
import gzip
import quopri
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string
from email.errors import MessageError
from email.message import Message
from email.policy import compat32, default
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from pathlib import Path
from typing import Final

from db.notices.outbox import DeliveryReport

NOTICE_HEADER: Final = "Grounds-Notice"
"""The header that contains the id of the notice. Each message has this header and a Message-ID, because some providers
replace the Message-ID."""

_BETWEEN_MESSAGES = re.compile(rb"^From .*\r?\n", re.MULTILINE)  # of an mbox
_NOTICE = r"told-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLACES = (
    re.compile(rf"^[> \t]*Original-Envelope-Id:\s*({_NOTICE})\s*$", re.MULTILINE | re.IGNORECASE),
    re.compile(rf"^[> \t]*{NOTICE_HEADER}:\s*({_NOTICE})\s*$", re.MULTILINE | re.IGNORECASE),
    re.compile(rf"^[> \t]*(?:X-)?Message-ID:\s*<({_NOTICE})@", re.MULTILINE | re.IGNORECASE),
    re.compile(
        rf"^[> \t]*(?:(?:X-)?(?:Delivered|Original|Envelope)-To|To|Return-Path|X-Failed-Recipients):.*\+({_NOTICE})@",
        re.MULTILINE | re.IGNORECASE,
    ),
)
"""The places in a report that can contain the id of the notice, the most reliable place first."""
_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_WORD = re.compile(r"[a-z]+")


class Unread(Enum):
    """The messages that report nothing about a notice that is certain."""

    NO_NOTICE = auto()
    """The message refers to no notice of this gateway."""
    PENDING = auto()
    """A report that the message was delayed, relayed or expanded."""
    OTHER_FORM = auto()
    """The message quotes a notice of this gateway, but cannot be read as a report."""


def read_mails(path: Path) -> Iterator[bytes]:
    """Yield the bounced e-mails of a file, also a gzipped one, or of each file of a Maildir."""
    if path.is_dir():
        folders = [folder for name in ("new", "cur") if (folder := path / name).is_dir()] or [path]
        for file in sorted(file for folder in folders for file in folder.iterdir() if file.is_file()):
            yield from read_mails(file)
    else:
        yield from split_mbox(unzipped(path.read_bytes()))


def unzipped(content: bytes) -> bytes:
    """Return the content of a file with bounced e-mails, uncompressed if it is gzipped. Raises OSError if damaged."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error):
        raise OSError(None, "is a damaged gzip file (send it again)") from None


def split_mbox(mail: bytes) -> list[bytes]:
    """Cut an mbox of bounced e-mails into its messages; a file that does not begin like an mbox is one message."""
    if not mail.startswith(b"From "):
        return [mail]
    return [message for message in _BETWEEN_MESSAGES.split(mail) if message.strip()]


def read_delivery_report(mail: bytes, now: datetime, *, relayed_counts: bool = False) -> DeliveryReport | Unread:
    """Read which notice an e-mail reports as delivered or bounced.

    A message that was expanded or delayed was neither delivered nor did it come back. One that was relayed went to a
    system that reports no deliveries: it counts as delivered only if the operator says so.
    """
    notice = _notice_id(mail)
    if notice is None:
        return Unread.NO_NOTICE
    try:
        message = message_from_bytes(mail, policy=default)
        actions = {_action(block): block for block in _status_blocks(message)}
    except (MessageError, ValueError, LookupError, AttributeError, TypeError):
        return Unread.OTHER_FORM
    if "failed" in actions:
        return DeliveryReport(notice, None, _arrival_time(actions["failed"], message, now))
    for action in ("delivered", "relayed") if relayed_counts else ("delivered",):
        if action in actions:
            return DeliveryReport(notice, _arrival_time(actions[action], message, now), None)
    return Unread.PENDING if actions.keys() & {"delayed", "relayed", "expanded"} else Unread.OTHER_FORM


def _status_blocks(message: Message) -> Iterator[Message]:
    """Yield the groups of fields of a bounced e-mail: usually one for the whole, then one per recipient.

    Some systems write all fields into one group, and some encode the part.
    """
    for part in message.walk():
        if part.get_content_type() in _STATUS_TYPES:
            for group in re.split(r"(?:[ \t]*\r?\n){2,}", _status_text(part).strip()):
                yield message_from_string(group, policy=compat32)
            return


def _status_text(part: Message) -> str:
    """Return the text of the part of a bounced e-mail that states what happened."""
    payload = part.get_payload()
    if isinstance(payload, list):  # the parser took its groups for messages
        text = "\n\n".join(each.as_string(policy=compat32).strip() for each in payload if isinstance(each, Message))
    else:
        text = str(payload)
    match str(part.get("Content-Transfer-Encoding", "")).strip().lower():
        case "base64":
            return binascii.a2b_base64("".join(text.split()).encode("ascii", "ignore")).decode("utf-8", "replace")
        case "quoted-printable":
            return quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    return text


def _notice_id(mail: bytes) -> str | None:
    """Find the notice that a bounced e-mail is about, by the most certain place that names one."""
    unfolded = re.sub(r"\r?\n[ \t]+", " ", mail.decode("utf-8", "replace").replace("\0", ""))
    found = (place.search(unfolded) for place in _PLACES)
    return next((match[1].lower() for match in found if match), None)


def _action(block: Message) -> str:
    """Return the action that a group of fields of a bounced e-mail states, empty if it states none."""
    stated = _WORD.match(str(block.get("Action", "")).strip().lower())
    return stated[0] if stated else ""


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
