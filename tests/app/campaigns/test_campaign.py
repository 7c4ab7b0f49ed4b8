"""`grounds notice send` against a real SMTP server: each is told once, in their language, and sent is not delivered."""

import json
import re
import signal
import ssl
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.settings import SettingsError, read_settings
from tests.support.campaigns import (
    SITE,
    MailServer,
    addresses,
    email_of,
    mail_server,
    notify,
    notify_until,
    peopled,
    person,
    start,
    states,
)
from tests.support.fork_server import BUILD
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed

pytestmark = pytest.mark.xdist_group("command")

# A broken build: the claim is committed after the message was sent, together with what became of it.
LATE_CLAIM = """
from app.cli.main import main
from app.campaigns.delivery import MailDelivery, _TASK_STATES
from db.notices import outbox
from db.connection import connection

async def tell(self, mailer, address):
    await mailer.ready()
    async with connection(self._pool) as borrowed, borrowed.transaction():
        claim = await self.claim(borrowed, address)
        if claim is None:
            return False
        await outbox.settle_task(borrowed, claim.task, _TASK_STATES[await self.send(mailer, address, claim)])
    return True

MailDelivery.tell = tell
main()
"""

# A build that waits for less long before it tries again.
IMPATIENT = """
from app.campaigns import delivery, smtp
from app.cli.main import main
delivery.RETRY_PAUSES = smtp.CONNECT_PAUSES = (0.1, 0.2, 0.3)
main()
"""


async def killed_twice(gateway: TestGateway, folder: Path, count: int, build: str) -> MailServer:
    """Notify so many accounts in three runs, of which two are killed while messages are under way."""
    people = [f"p{number}" for number in range(count)]
    await peopled(gateway, *people)
    file = addresses(folder / "addresses.csv", *people)
    options = ("--channel", "EMAIL", "--addresses", file, "--rate", 2000)
    with mail_server(pause=0.01) as server:
        for taken in (count // 4, count // 2):
            notify_until(gateway.database_url, server, folder / "data", taken, build, *options)
        start(gateway.database_url, server, folder / "data", build, *options).wait(900)
    return server


def check_exactly_once_or_unknown(gateway: TestGateway, server: MailServer, count: int) -> None:
    found = states(gateway)
    got = server.recipients
    assert max(got.values()) == 1
    assert len(found) == count
    assert set(found.values()) == {"SENT", "UNKNOWN"}
    assert {email_of(account) for account, state in found.items() if state == "SENT"} <= got.keys()
    assert Counter(found.values())["UNKNOWN"] <= 2 * 4, "two runs were killed, with four connections each"


@pytest.mark.ci
@pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.exhaustive)])
async def test_a_campaign_that_is_killed_twice_tells_each_once_or_says_that_nobody_knows(
    gateway: TestGateway, tmp_path: Path, count: int
) -> None:
    server = await killed_twice(gateway, tmp_path, count, BUILD)
    check_exactly_once_or_unknown(gateway, server, count)


@pytest.mark.ci
async def test_claiming_after_sending_is_noticed(gateway: TestGateway, tmp_path: Path, killed: Killed) -> None:
    server = await killed_twice(gateway, tmp_path, 40, LATE_CLAIM)
    twice = sum(count > 1 for count in server.recipients.values())
    with pytest.raises(AssertionError):
        check_exactly_once_or_unknown(gateway, server, 40)
    killed(
        "a task is claimed after sending", "app/campaigns/delivery.py", f"{twice} people told twice" if twice else None
    )


async def test_a_second_run_tells_only_those_who_are_left(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one", "two")
    file = addresses(tmp_path / "addresses.csv", "one")
    with mail_server() as server:
        arguments = (gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL", "--addresses", file)
        assert notify(*arguments).returncode == 3, "two has no address"
        await gateway.ingest([person("three")])
        addresses(file, "one", "two", "three", "three")
        assert notify(*arguments).returncode == 0
        assert notify(*arguments).returncode == 0
    assert server.recipients == {email_of(account): 1 for account in ("one", "two", "three")}


async def test_a_refused_recipient_fails_and_one_refused_for_now_is_tried_again_within_bounds(
    gateway: TestGateway, tmp_path: Path
) -> None:
    people = ("fine", "gone", "soon", "never", "content", "busy")
    await peopled(gateway, *people)

    def answer(recipient: str, attempt: int) -> str | None:
        if recipient == email_of("gone"):
            return "550 5.1.1 no such user"
        if recipient == email_of("never") or (recipient == email_of("soon") and attempt == 1):
            return "451 4.7.1 try again later"
        return None

    def answer_to_data(recipient: str) -> str | None:
        return "554 5.6.0 not like this" if recipient == email_of("content") else None

    with mail_server(answer=answer, answer_to_data=answer_to_data) as server:
        arguments = ("--channel", "EMAIL", "--addresses", addresses(tmp_path / "addresses.csv", *people))
        done = notify(gateway.database_url, server, tmp_path / "data", *arguments, build=IMPATIENT)
    assert done.returncode == 3
    expected = {"gone": "FAILED", "never": "PENDING", "content": "FAILED"}
    assert states(gateway) == {account: expected.get(account, "SENT") for account in people}
    assert server.recipients == {email_of(account): 1 for account in ("fine", "soon", "busy")}
    assert server.attempts[email_of("never")] == 4
    assert server.attempts[email_of("gone")] == 1


async def test_a_server_that_is_gone_leaves_everybody_for_the_next_run(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one")
    arguments = ("--channel", "EMAIL", "--addresses", addresses(tmp_path / "addresses.csv", "one"))
    with mail_server() as server:
        pass
    done = notify(gateway.database_url, server, tmp_path / "data", *arguments, build=IMPATIENT)
    assert done.returncode == 2
    assert "the SMTP server cannot be used, because of " in done.stderr
    assert states(gateway) == {"one": "PENDING"}


async def test_without_tls_nothing_leaves_this_machine(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one")
    arguments = ("--channel", "EMAIL", "--addresses", addresses(tmp_path / "addresses.csv", "one"))
    with mail_server() as server:  # reached by an address that is not known to be this machine's own
        elsewhere = f"smtp://user:pass-that-nobody-may-see@0.0.0.0:{server.port}"
        done = notify(gateway.database_url, server, tmp_path / "data", *arguments, GROUNDS_SMTP=elsewhere)
    assert done.returncode == 2
    assert "the SMTP server cannot be used, because of " in done.stderr
    assert "pass-that-nobody-may-see" not in done.stderr
    assert server.taken == []
    assert states(gateway) == {"one": "PENDING"}


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for localhost: a server's context with it, and the file of trusted certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(made - timedelta(days=1))
        .not_valid_after(made + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(signed.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, private)
    return context, trusted


async def test_tls_is_used_when_it_is_offered_and_only_with_a_certificate_that_is_trusted(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "one")
    arguments = ("--channel", "EMAIL", "--addresses", addresses(tmp_path / "addresses.csv", "one"))
    context, trusted = certificate(tmp_path)
    with mail_server(context) as server:
        here = f"smtp://localhost:{server.port}"
        data = tmp_path / "data"
        done = notify(gateway.database_url, server, data, *arguments, build=IMPATIENT, GROUNDS_SMTP=here)
        assert done.returncode == 2
        assert server.taken == []
        trust = {"SSL_CERT_FILE": str(trusted)}
        done = notify(gateway.database_url, server, data, *arguments, GROUNDS_SMTP=here, **trust)
    assert done.returncode == 0, done.stderr
    assert server.encrypted == {True}


async def test_a_server_that_refuses_everybody_is_not_asked_for_ever(gateway: TestGateway, tmp_path: Path) -> None:
    people = [f"p{number}" for number in range(60)]
    await peopled(gateway, *people)
    arguments = ("--channel", "EMAIL", "--addresses", addresses(tmp_path / "addresses.csv", *people))
    with mail_server(answer=lambda recipient, attempt: "554 5.7.1 relay access denied") as server:
        done = notify(gateway.database_url, server, tmp_path / "data", *arguments)
    assert done.returncode == 2
    assert "refused 25 recipients in a row" in done.stderr
    assert server.attempts.total() < 30


async def test_a_bad_line_is_named_by_its_number_never_quoted_and_sends_nothing(
    gateway: TestGateway, tmp_path: Path
) -> None:
    people = ("good", "tab", "bcc", "spaced", "other", "list", "wide")
    await peopled(gateway, *people)
    lines = [
        {"account": "good", "email": " Good@Example.org "},
        {"account": "tab", "email": "tab@example.org\r\nBcc: everybody@example.org"},
        {"account": "bcc", "email": "bcc@example.org", "language": "de\r\nBcc: everybody@example.org"},
        {"account": "spaced", "email": "<spaced@example.org> NOTIFY=NEVER"},
        {"account": "other", "email": "somebody-else@example.org"},
        {"account": "list", "email": "list@example.org,everybody@example.org"},
        {"account": "wide", "email": "wide@example.org", "name": "A Person"},
        {"account": "nobody", "email": "nobody@example.org"},
        ["good", "good@example.org"],
    ]
    file = tmp_path / "addresses.ndjson"
    file.write_text("\n".join([*map(json.dumps, lines), "{", ""]))
    with mail_server() as server:
        done = notify(gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL", "--addresses", file)
    assert done.returncode == 3
    assert {int(line) for line in re.findall(r"line (\d+): ", done.stderr)} == set(range(2, 11))
    assert "example.org" not in done.stderr + done.stdout
    assert server.recipients == {"Good@Example.org": 1}


async def test_a_file_that_is_no_list_of_addresses_is_refused(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one")
    file = tmp_path / "addresses.csv"
    file.write_text("one,one@example.org\n")
    with mail_server() as server:
        arguments = (gateway.database_url, server, tmp_path / "data", "--channel", "EMAIL")
        assert "(write account,email,language in the first line)" in notify(*arguments, "--addresses", file).stderr
        assert "addresses.nowhere" in notify(*arguments, "--addresses", tmp_path / "addresses.nowhere").stderr
        assert "--addresses: is missing" in notify(*arguments).stderr
        assert "--channel: must be a list of channels" in notify(*arguments, "--channel", "PIGEON").stderr
        assert "--epoch: must be a month" in notify(*arguments, "--epoch", "2026").stderr
        assert (
            "--epoch: 2025-03 is too early, because the policy counts only notices from the epoch 2025-04 on"
            in notify(*arguments, "--epoch", "2025-03", "--addresses", addresses(file, "one")).stderr
        )
    bare = notify(gateway.database_url, None, tmp_path / "data", "--addresses", file, GROUNDS_PUBLIC_URL="")
    assert "GROUNDS_PUBLIC_URL: is not set" in bare.stderr
    assert "GROUNDS_SMTP or GROUNDS_SMTP_FROM: is not set" in bare.stderr


async def test_a_dry_run_counts_shows_one_text_and_writes_nothing(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one", "two", "three")
    file = addresses(tmp_path / "addresses.csv", "one", "two", language="fr")
    before = rows(gateway)
    with mail_server() as server:
        done = notify(gateway.database_url, server, tmp_path / "data", "--addresses", file, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"EMAIL\W+fr\W+2\b", done.stdout)
    assert re.search(r"IN_APP\W+en\W+3\b", done.stdout)
    assert "Subject: Vos données" in done.stdout
    assert f"{SITE}/object?t=EXAMPLE" in done.stdout
    assert server.taken == []
    assert rows(gateway) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP", "mail.example.org:25"),
        ("SMTP", "http://user:pass-that-nobody-may-see@mail.example.org"),
        ("SMTP", "smtp://user:pass-that-nobody-may-see@"),
        ("SMTP", "smtp://user:pass-that-nobody-may-see@mail.example.org:99999"),
        ("SMTP_FROM", "nobody"),
        ("SMTP_FROM", "one@example.org, two@example.org"),
        ("SMTP_FROM", "one@example.org\nBcc: two@example.org"),
        ("PUBLIC_URL", "grounds.example.org"),
        ("PUBLIC_URL", "https://grounds.example.org/?a=b"),
        ("PUBLIC_URL", "javascript://grounds.example.org"),
    ],
)
def test_a_setting_that_will_not_do_is_named_and_never_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"GROUNDS_{name}", value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert str(refused.value).startswith(f"GROUNDS_{name}: must be ")
    assert "nobody-may-see" not in str(refused.value)


def rows(gateway: TestGateway) -> dict[str, int]:
    """Count what a campaign could write; a server's background work writes elsewhere."""
    tables = ("campaign", "notice_task", "notice", "consent_event", "account", "account_contact", "standing_queue")
    return {name: gateway.execute(f"SELECT count(*) FROM grounds.{name}")[0][0] for name in tables}


@pytest.mark.ci
async def test_an_interrupted_run_ends_what_it_is_at_and_the_next_goes_on(gateway: TestGateway, tmp_path: Path) -> None:
    people = [f"p{number}" for number in range(60)]
    await peopled(gateway, *people)
    file = addresses(tmp_path / "addresses.csv", *people)
    options = ["--channel", "EMAIL", "--addresses", str(file)]
    with mail_server(pause=0.02) as server:
        process = start(gateway.database_url, server, tmp_path / "data", BUILD, *options)
        once = threading.Event()

        def interrupt(count: int) -> None:
            if count == 20 and not once.is_set():
                once.set()
                process.send_signal(signal.SIGINT)

        server.on_taken = interrupt
        assert process.wait(60) == 130
        assert "Traceback" not in (tmp_path / "data.log").read_text()
        assert set(states(gateway).values()) == {"SENT", "PENDING"}
        assert 20 <= len(server.taken) <= 24
        assert notify(gateway.database_url, server, tmp_path / "data", *options).returncode == 0
    assert server.recipients == {email_of(account): 1 for account in people}


async def test_a_connection_that_breaks_before_the_message_is_tried_again_and_after_it_nobody_knows(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "before", "after")
    file = addresses(tmp_path / "addresses.csv", "before", "after")

    def answer(recipient: str, attempt: int) -> str | None:
        return "421 4.3.2 going down" if (recipient, attempt) == (email_of("before"), 1) else None

    def answer_to_data(recipient: str) -> str | None:
        if recipient == email_of("after"):
            raise ConnectionResetError
        return None

    with mail_server(answer=answer, answer_to_data=answer_to_data) as server:
        arguments = ("--channel", "EMAIL", "--addresses", file, "--connections", 1)
        assert notify(gateway.database_url, server, tmp_path / "data", *arguments).returncode == 3
    assert states(gateway) == {"before": "SENT", "after": "UNKNOWN"}
