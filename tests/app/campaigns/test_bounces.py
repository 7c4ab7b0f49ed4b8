"""What mail systems report: sent is not delivered, and a bounce voids a notice at once, however late."""

from datetime import datetime
from pathlib import Path

import pytest

from app.campaigns.bounces import read_delivery_report, split_mbox
from tests.support.campaigns import addresses, email_of, mail_server, notify, peopled, settings_of, states
from tests.support.command import grounds
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

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
    assert [read_delivery_report(message, NOW) for message in split_mbox(mail)] in ([None], [])


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
