"""`grounds objection file`: what came by letter is in force when its reference is printed."""

import json
import subprocess
from pathlib import Path
from typing import Any

from db.ingest.contacts import contact_hash
from tests.support.command import grounds
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway


def file_objection(gateway: TestGateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    settings = {"DATABASE_URL": gateway.database_url, "GROUNDS_SECRET": SECRET.decode()}
    return grounds("objection", "file", *arguments, data=Path("no data"), env=settings)


def written_by(name: str) -> list[dict[str, Any]]:
    """State an account with a person and an address of its own, and an item that is named as it is."""
    account = fact("account", id=name, contacts=[contact_hash(f"{name}@example.org")], person=f"person-{name}")
    return [account, fact("content", id=name, account=name, text=name), fact("notice", id=name, account=name)]


async def test_what_came_by_letter_is_in_force_when_its_reference_is_printed(
    gateway: TestGateway, tmp_path: Path
) -> None:
    letter = tmp_path / "letter"
    letter.write_text("Hash@example.org\n", encoding="utf-8")
    ways = {
        "anna": ("--account", "anna"),
        "bert": ("--person", "person-bert"),
        "carl": ("--contact", str(contact_hash("carl@example.org"))),
        "hash": ("--contact-file", str(letter)),
    }
    gateway.set_clock(NOW)
    await gateway.ingest([record for name in ways for record in written_by(name)])
    left = set(ways)
    assert {item["text"] for item in await gateway.pull()} == left
    for name, named in ways.items():
        done = file_objection(gateway, *named)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("filed-")
        left.remove(name)
        assert {item["text"] for item in await gateway.pull()} == left
        assert name not in (done.stdout + done.stderr).lower()
    filed = [("LETTER", "command line")] * len(ways)
    assert gateway.execute("SELECT channel, filed_by FROM grounds.objection") == filed


async def test_an_objection_that_matches_no_account_is_kept_and_the_officer_is_told(gateway: TestGateway) -> None:
    await gateway.ingest([fact("account")])
    known, unknown = (file_objection(gateway, "--account", name) for name in ("author", "autor"))
    assert ("No account matches" in known.stdout, "No account matches" in unknown.stdout) == (False, True)
    assert json.loads(file_objection(gateway, "--account", "autor", "--json").stdout)["unmatched"] is True
    # The same objection again is the same objection.
    assert gateway.execute("SELECT count(DISTINCT target.value) FROM grounds.objection_target target") == [(2,)]


async def test_a_letter_is_dated_by_its_day_which_begins_where_it_begins_first(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    done = file_objection(gateway, "--account", "author", "--received-at", "2026-05-03")
    assert "has been in effect since 2026-05-02T10:00:00+00:00" in done.stdout, done.stderr
    for stated, fault in (
        (["2026-13-01"], "--received-at: must be a day or a time"),
        (["2027-01-01"], "--received-at: must not be in the future"),
        (["2026-05-03T10:00:00"], "--received-at: must have a time zone"),
        (["2026-05-03", "--channel", "form"], "--received-at: needs one of the channels LETTER, PHONE, EMAIL"),
    ):
        done = file_objection(gateway, "--account", "author", "--received-at", *stated)
        assert (done.returncode, done.stdout) == (2, ""), stated
        assert fault in done.stderr
    assert gateway.execute("SELECT channel, received_at::text FROM grounds.objection") == [
        ("LETTER", "2026-05-02 10:00:00+00")
    ]


async def test_a_command_that_names_nobody_files_nothing(gateway: TestGateway) -> None:
    for named, fault in (
        ([], "pass exactly one of --account, --person, --contact and --contact-file"),
        (["--account", "a", "--person", "p"], "pass exactly one of --account, --person, --contact and --contact-file"),
        (["--contact", "anna doe"], "--contact: must be an e-mail address"),
        (["--account", "anna@example.org"], "--account: must not be an e-mail address or phone number"),
        (["--account", ""], "--account: must have 1 to 2048 bytes, and only printable characters"),
        (["--contact-file", "/nowhere"], "No such file"),
    ):
        done = file_objection(gateway, *named)
        assert done.returncode == 2, named
        assert fault in done.stderr, named
    assert gateway.execute("SELECT count(*) FROM grounds.objection") == [(0,)]
