"""What mail systems report: sent is not delivered, and a bounce voids a notice at once, however late."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import app.campaigns.bounces
from app.campaigns.bounces import Unread, read_delivery_report, split_mbox
from db.ingest.contacts import contact_hash
from db.notices.outbox import DeliveryReport
from tests.support.bounces import generated_reports
from tests.support.campaigns import addresses, email_of, mail_server, notify, peopled, settings_of, states
from tests.support.command import grounds
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed

NOTICE = "told-00000000-0000-4000-8000-000000000000"
pytestmark = pytest.mark.xdist_group("command")


async def test_sent_is_not_delivered_and_a_late_bounce_voids_at_once(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "author")
    await gateway.ingest([fact("content")])
    with mail_server() as server:
        done = notify(
            *(gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL"),
            *("--addresses", addresses(tmp_path / "addresses.csv", "author")),
        )
    assert done.returncode == 0, done.stderr
    outcomes = (await gateway.decisions())["item"][2]
    assert (outcomes["NOTICE_DELIVERED"], outcomes["NOTICE_PERIOD_ELAPSED"]) == ("FAIL", "UNKNOWN")
    notice = server.message(email_of("author"))["Message-ID"].strip("<>").partition("@")[0]

    report(gateway, tmp_path, delivery_status(f"Original-Envelope-Id: {notice}", "delivered", NOW))
    gateway.set_clock(NOW + 60 * DAY)
    assert (await gateway.decisions())["item"][0]
    assert len(await gateway.pull()) == 1

    late = delivery_status("X: y", "failed", NOW + 60 * DAY, f"Message-ID: <{notice}@example.org>")
    report(gateway, tmp_path, late)
    assert await gateway.pull() == []
    assert (await gateway.decisions())["item"][2]["NOTICE_DELIVERED"] == "FAIL"
    assert states(gateway) == {"author": "BOUNCED"}


def report(gateway: TestGateway, folder: Path, mail: bytes) -> str:
    """Hand a message to `grounds notice bounces` by an mbox."""
    (folder / "mbox").write_bytes(b"From mailer@example.org Mon Jun  1 12:00:00 2026\n" + mail + b"\n")
    done = grounds(
        "notice", "bounces", folder / "mbox", data=folder / "data", env=settings_of(gateway.database_url, None)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def delivery_status(whole: str, action: str, at: datetime, quoted: str = "Subject: notice") -> bytes:
    """Write a delivery status notification."""
    return f"""\
From: mailer@example.org
To: privacy@example.org
Subject: Delivery Status Notification
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain

What became of your message.
--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org
{whole}

Final-Recipient: rfc822; author@example.org
Action: {action}
Status: 5.1.1
Last-Attempt-Date: {at.strftime("%a, %d %b %Y %H:%M:%S +0000")}

--cut
Content-Type: text/rfc822-headers

{quoted}

--cut--
""".encode()


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\xff\x00 no message",
        b"Subject: hello\n\nI am on holiday.\n",
        delivery_status("Original-Envelope-Id: told-by-nobody", "failed", NOW),
        delivery_status("Original-Envelope-Id: told-00000000-0000-4000-8000-000000000000", "relayed", NOW),
        b"Content-Type: message/delivery-status\n\n",
    ],
)
def test_mail_that_says_nothing_certain_of_a_notice_is_no_report(mail: bytes) -> None:
    assert all(isinstance(read_delivery_report(message, NOW), Unread) for message in split_mbox(mail))


async def test_a_form_that_is_not_read_but_quotes_a_notice_is_counted_apart_and_the_code_is_3(
    gateway: TestGateway, tmp_path: Path
) -> None:
    gateway.set_clock(NOW)
    maildir = tmp_path / "Maildir"
    for folder in ("new", "cur", "tmp"):
        (maildir / folder).mkdir(parents=True)
    (maildir / "new" / "1").write_bytes(f"Subject: no\n\n> Message-ID: <{NOTICE}@example.org>\n> Hello\n".encode())
    (maildir / "cur" / "2:2,S").write_bytes(b"Subject: hello\n\nI am on holiday.\n")
    (maildir / "tmp" / "3").write_bytes(b"half of a message")
    delayed = delivery_status(f"Original-Envelope-Id: {NOTICE}", "delayed", NOW)
    (tmp_path / "mbox.gz").write_bytes(gzip.compress(b"From a\n" + delayed + b"\nFrom b\n" + delayed))
    done = bounces(gateway, tmp_path, maildir, tmp_path / "mbox.gz")
    assert done.returncode == 3, done.stderr
    assert done.stdout == "2 pending, 1 quoting a notice in an unknown form, 1 without a notice\n"
    (tmp_path / "mbox.gz").write_bytes(gzip.compress(delayed)[:-9])
    done = bounces(gateway, tmp_path, tmp_path / "mbox.gz")
    assert (done.returncode, "damaged gzip" in done.stderr) == (2, True)


def bounces(gateway: TestGateway, folder: Path, *files: Path) -> Any:
    """Run `grounds notice bounces` over files and folders."""
    env = settings_of(gateway.database_url, None)
    return grounds("notice", "bounces", *files, data=folder / "data", env=env)


@pytest.mark.parametrize("action", ["failed", "delivered"])
def test_every_report_of_rfc_3464_is_read_however_it_is_written(
    action: str, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    """Both layouts, every place of the id, encodings, line ends, nesting: see tests/support/bounces.py."""
    reports = list(generated_reports(NOTICE, action, NOW))
    assert len(reports) > 250
    expected = (None, NOW) if action == "failed" else (NOW, None)
    for form, mail in reports:
        read = read_delivery_report(mail, NOW + DAY)
        assert isinstance(read, DeliveryReport), (form, mail.decode())
        assert read == (NOTICE, *expected), (form, mail.decode())
    monkeypatch.setattr(app.campaigns.bounces, "_PLACES", app.campaigns.bounces._PLACES[:1])
    unread = [form for form, mail in reports if read_delivery_report(mail, NOW) is Unread.NO_NOTICE]
    killed("the envelope's id only", "app/campaigns/bounces.py", f"{len(unread)} reports" if unread else None)


def test_a_relayed_notice_counts_where_the_operator_says_so() -> None:
    mail = delivery_status(f"Original-Envelope-Id: {NOTICE}", "relayed (to a system without reports)", NOW)
    assert read_delivery_report(mail, NOW) is Unread.PENDING
    assert read_delivery_report(mail, NOW, relayed_counts=True) == (NOTICE, NOW, None)
    failed = mail.replace(b"Content-Type: text/rfc822-headers", b"\nContent-Type: text/rfc822-headers")
    both = failed.replace(b"\n--cut\n\nContent", b"\nFinal-Recipient: rfc822; b@x\nAction: failed\n\n--cut\nContent")
    assert read_delivery_report(both, NOW, relayed_counts=True) == (NOTICE, None, NOW)


async def test_a_message_names_its_notice_in_a_header_and_in_the_envelopes_sender(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "author")
    (tmp_path / "addresses.csv").write_text("account,email,language\nauthor,author@b\u00fccher.example,en\n")
    await gateway.ingest([fact("account", 9, contacts=[str(contact_hash("author@b\u00fccher.example"))])])
    with mail_server() as server:
        done = notify(
            *(gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL"),
            *("--addresses", tmp_path / "addresses.csv"),
            GROUNDS_SMTP_BOUNCES="bounces@example.org",
        )
    assert done.returncode == 0, done.stderr
    ((notice,),) = gateway.execute("SELECT platform_id FROM grounds.notice")
    assert server.message("author@xn--bcher-kva.example")["Grounds-Notice"] == notice
    assert server.senders == [f"bounces+{notice}@example.org"]


async def test_a_report_on_a_notice_that_is_none_of_ours_changes_nothing(gateway: TestGateway, tmp_path: Path) -> None:
    gateway.set_clock(NOW)
    forged = delivery_status("Original-Envelope-Id: told-00000000-0000-4000-8000-000000000000", "delivered", NOW)
    assert report(gateway, tmp_path, forged) == "1 without a notice\n"
    assert gateway.execute("SELECT count(*) FROM grounds.notice") == [(0,)]


async def test_a_server_that_can_report_is_asked_to_under_the_notices_own_id(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "author")
    file = addresses(tmp_path / "addresses.csv", "author")
    with mail_server(reports=True) as server:
        done = notify(gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL", "--addresses", file)
    assert done.returncode == 0, done.stderr
    ((notice,),) = gateway.execute("SELECT platform_id FROM grounds.notice")
    assert server.asked_to_report == [" RET=HDRS", f" ENVID={notice}", " NOTIFY=SUCCESS,FAILURE"]
    assert server.message(email_of("author"))["Message-ID"] == f"<{notice}@example.org>"
