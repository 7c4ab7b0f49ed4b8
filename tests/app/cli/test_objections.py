"""`grounds objection file`: what came by letter is in force when its reference is printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from db.ingest.contacts import contact_hash
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

HASH = str(contact_hash("anna@example.org"))


def grounds(gateway: TestGateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"DATABASE_URL": gateway.database_url, "GROUNDS_SECRET": SECRET.decode()}
    command = [sys.executable, "-c", "from app.cli.main import main; main()", "objection", "file", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
async def notified_gateway(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account", contacts=[HASH], person="p"), fact("content"), fact("notice")])
    return gateway


@pytest.mark.parametrize(
    "named",
    [["--account", "author"], ["--person", "p"], ["--contact", HASH], ["--contact-file", "letter"]],
    ids=lambda named: named[0],
)
async def test_what_came_by_letter_is_in_force_when_its_reference_is_printed(
    notified_gateway: TestGateway, tmp_path: Path, named: list[str]
) -> None:
    letter = tmp_path / "letter"
    letter.write_text("Anna@example.org\n", encoding="utf-8")
    assert len(await notified_gateway.pull()) == 1
    done = grounds(notified_gateway, *(str(letter) if word == "letter" else word for word in named))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("filed-")
    assert await notified_gateway.pull() == []
    assert "anna" not in (done.stdout + done.stderr).lower()
    assert notified_gateway.execute("SELECT channel, filed_by FROM grounds.objection") == [("LETTER", "command line")]


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ([], "name one of --account, --person, --contact and --contact-file"),
        (["--account", "a", "--person", "p"], "name one of"),
        (["--contact", "anna"], "--contact: is no e-mail address"),
        (["--account", ""], "--account: is not 1 to 200 printable characters"),
        (["--contact-file", "/nowhere"], "No such file"),
    ],
)
async def test_a_command_that_names_nobody_files_nothing(
    notified_gateway: TestGateway, named: list[str], fault: str
) -> None:
    done = grounds(notified_gateway, *named)
    assert done.returncode == 2
    assert fault in done.stderr
    assert notified_gateway.execute("SELECT count(*) FROM grounds.objection") == [(0,)]
