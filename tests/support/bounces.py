"""Delivery reports as mail systems write them (RFC 3464, RFC 6533), each form with each place of the notice's id."""

import base64
import quopri
from collections.abc import Iterator
from datetime import datetime
from itertools import product

PLACES = ("envelope", "header", "message id", "delivered to", "to", "folded")
LAYOUTS = ("two groups", "one group", "two recipients", "blank line first")
ENCODINGS = ("7bit", "base64", "quoted-printable")
TYPES = ("message/delivery-status", "message/global-delivery-status")
ACTIONS = ("{}", "{} (of host mx.example.org)")


def generated_reports(notice: str, action: str, at: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield every combination of layout, place, encoding, type and line end, with its name."""
    for place, layout, encoding, kind, end, written in product(
        PLACES, LAYOUTS, ENCODINGS, TYPES, ("\n", "\r\n"), ACTIONS
    ):
        if encoding != "7bit" and place == "envelope":
            continue  # the id could only be read in the encoded part
        status = _status(layout, notice if place == "envelope" else None, written.format(action.title()), at)
        mail = _report(place, encoding, kind, status, notice)
        name = f"{place}, {layout}, {encoding}, {kind}, {end!r}, {written}"
        yield name, mail.replace("\n", end).encode()


def _status(layout: str, envelope: str | None, action: str, at: datetime) -> str:
    whole = "Reporting-MTA: dns; mx.example.org\n" + (f"Original-Envelope-Id: {envelope}\n" if envelope else "")
    each = (
        f"Final-Recipient: rfc822; author@example.org\nAction: {action}\nStatus: 5.1.1\n"
        f"Last-Attempt-Date: {at.strftime('%a, %d %b %Y %H:%M:%S +0000')}\n"
    )
    match layout:
        case "one group":
            return whole + each
        case "two recipients":
            return f"{whole}\nFinal-Recipient: rfc822; other@example.org\nAction: delayed\nStatus: 4.0.0\n\n{each}"
        case "blank line first":
            return f"\n{whole}\n{each}"
    return f"{whole}\n{each}"


def _report(place: str, encoding: str, kind: str, status: str, notice: str) -> str:
    match encoding:
        case "base64":
            status = base64.encodebytes(status.encode()).decode()
        case "quoted-printable":
            status = quopri.encodestring(status.encode()).decode()
    to = f"bounces+{notice}@example.org" if place == "to" else "privacy@example.org"
    more = f"Delivered-To: bounces+{notice}@example.org\n" if place == "delivered to" else ""
    quoted = {
        "header": f"Message-ID: <0100-abcdef@mail.example.org>\nGrounds-Notice: {notice}",
        "message id": f"Message-ID: <{notice}@example.org>",
        "folded": f"Message-ID:\n <{notice}@example.org>",
    }.get(place, "Message-ID: <0100-abcdef@mail.example.org>")
    return f"""\
From: mailer@example.org
To: {to}
{more}Subject: Delivery Status Notification
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain

What became of your message.
--cut
Content-Type: {kind}
Content-Transfer-Encoding: {encoding}

{status}
--cut
Content-Type: text/rfc822-headers

{quoted}
Subject: Your data

--cut--
"""
