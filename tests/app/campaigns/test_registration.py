"""A campaign keeps what it told and its very texts; what changes either is refused with words before anyone is told."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.settings import SettingsError
from app.texts.catalogue import open_catalogue
from db.vocabulary import MessageKind
from tests.support.campaigns import (
    CAMPAIGN,
    EPOCH,
    addresses,
    email_of,
    mail_server,
    notify,
    peopled,
    person,
    register,
    settings_of,
    states,
)
from tests.support.command import grounds, write
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every

pytestmark = pytest.mark.xdist_group("command")

ONE_USE = [{"purposes": ["GENAI_TRAINING"], "kinds": ["POST"], "products": ["FACEBOOK"]}]
TOLD_IN = "SELECT told, texts FROM grounds.campaign WHERE platform_id = '2026-05'"
KEPT = "SELECT message, language, sha256, text FROM grounds.campaign_text ORDER BY message, language"


def campaign(**changed: Any) -> dict[str, Any]:
    return CAMPAIGN | {"told": ONE_USE} | changed


async def test_a_registered_campaign_keeps_the_very_text_of_each_language(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    hashes = await register(gateway, campaign())
    assert gateway.execute(TOLD_IN) == [(["GENAI_TRAINING POST FACEBOOK"], hashes)]
    kept = gateway.execute(KEPT)
    assert [row[:2] for row in kept] == [("NOTICE", language) for language in sorted(open_catalogue(None).languages)]
    assert all(hashlib.sha256(text.encode()).hexdigest() == digest for *_, digest, text in kept)
    assert await register(gateway, campaign(texts=hashes)) == hashes
    assert gateway.execute(KEPT) == kept


@pytest.mark.parametrize(
    ("changed", "told"),
    ordinary_every(
        4,
        [
            (
                {"told": [ONE_USE[0] | {"kinds": ["POST", "VIDEO"]}]},
                "the field `told` must stay as it was registered, but this record adds GENAI_TRAINING VIDEO FACEBOOK",
            ),
            (
                {"told": [ONE_USE[0] | {"kinds": ["VIDEO"]}]},
                "VIDEO FACEBOOK, lacks GENAI_TRAINING POST FACEBOOK (register",
            ),
            ({"told": []}, "campaign 2026-05: the field `told` is empty"),
            ({"texts": {"en": "0" * 64}}, "texts.en: the SHA-256 of the text is "),
            ({"texts": {"tr": "0" * 64}}, "texts.tr: the text in this language is missing (add tr.txt)"),
            ({"id": "May 2026"}, "campaign: id: "),
            ({"audience": 7}, "campaign: audience: is not a field of this record"),
        ],
    ),
    ids=["wider", "another", "nothing", "another hash", "no text", "no epoch", "no field"],
)
async def test_a_campaign_that_changes_what_it_told_or_its_text_is_refused(
    gateway: TestGateway, changed: dict[str, Any], told: str
) -> None:
    gateway.set_clock(NOW)
    await register(gateway, campaign())
    before = gateway.execute(TOLD_IN), gateway.execute(KEPT)
    with pytest.raises(SettingsError, match=re.escape(told)):
        await register(gateway, campaign(observed_at="2026-03-01T00:00:00Z", **changed))
    assert (gateway.execute(TOLD_IN), gateway.execute(KEPT)) == before
    assert gateway.execute("SELECT count(*) FROM grounds.quarantine") == [(0,)]


async def test_a_text_that_is_registered_is_never_replaced(gateway: TestGateway, killed: Killed) -> None:
    gateway.set_clock(NOW)
    await register(gateway, campaign())
    attempt = (
        "SELECT grounds.register_texts('2026-05', '{}', ARRAY['en'], ARRAY['Subject: another one'])",
        "SELECT count(*) FROM grounds.campaign_text WHERE text LIKE '%%another one'",
    )
    assert gateway.execute(attempt[0].format("NOTICE")) == [(["en"],)]
    assert gateway.execute(attempt[1]) == [(0,)]
    gateway.execute(
        "CREATE OR REPLACE FUNCTION grounds.register_texts(its_epoch text, its_message text, languages text[],"
        " its_texts text[]) RETURNS text[] LANGUAGE sql AS $$ UPDATE grounds.campaign_text SET text = its_texts[1]"
        " WHERE language = languages[1]; SELECT '{}'::text[] $$"
    )
    gateway.execute(attempt[0].format("NOTICE"))
    ((replaced,),) = gateway.execute(attempt[1])
    killed("a registered text is replaced", "db/sql/campaign.sql", f"{replaced} texts replaced" if replaced else None)


async def test_of_a_campaign_that_is_not_known_or_has_no_text_nobody_is_told(
    gateway: TestGateway, tmp_path: Path
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([person("one")])
    file = addresses(tmp_path / "addresses.csv", "one")
    with mail_server() as server:
        arguments = (gateway.database_url, server, tmp_path / "data", "--addresses", file)
        assert (
            "--epoch: the campaign 2026-05 is not registered, so its notices would not count"
            in notify(*arguments).stderr
        )
        await gateway.ingest([CAMPAIGN])
        assert (
            "--epoch: the campaign 2026-05 has no registered text for its notice message" in notify(*arguments).stderr
        )
        await register(gateway)
        assert "has no registered text for its reminder message" in notify(*arguments, "--remind").stderr
        document = "SELECT document::text FROM grounds.policy WHERE active"
        other = gateway.execute(document)[0][0].replace("dpo@example.org", "another-dpo@example.org")
        gateway.execute(f"UPDATE grounds.policy SET document = '{other}' WHERE active")
        done = notify(*arguments)
    assert done.returncode == 2
    assert (
        "the text bg of the campaign 2026-05 does not fit the policy in force: the controller's dpo is" in done.stderr
    )
    assert (server.taken, states(gateway)) == ([], {})


async def test_a_reminder_goes_to_those_whose_period_runs_and_is_no_notice(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "told", "told-long-ago", "not-told", "objector")
    await gateway.ingest(
        [
            fact("notice", id="told", account="told", epoch=EPOCH, delivered_at=(NOW - 3 * DAY).isoformat()),
            fact("notice", id="long", account="told-long-ago", epoch=EPOCH, delivered_at=(NOW - 90 * DAY).isoformat()),
            fact("notice", id="objector", account="objector", epoch=EPOCH, delivered_at=(NOW - DAY).isoformat()),
            fact("objection", account="objector"),
        ]
    )
    await register(gateway, message=MessageKind.REMINDER)
    before = gateway.execute("SELECT * FROM grounds.notice ORDER BY id"), await gateway.decisions()
    file = addresses(tmp_path / "addresses.csv", "told", "told-long-ago", "not-told", "objector")
    with mail_server() as server:
        arguments = (gateway.database_url, server, tmp_path / "data", "--addresses", file, "--remind")
        assert notify(*arguments).returncode == 0
        assert notify(*arguments).returncode == 0
    assert server.recipients == {email_of("told"): 1}
    assert server.message(email_of("told"))["Subject"].startswith("Reminder")
    assert (gateway.execute("SELECT * FROM grounds.notice ORDER BY id"), await gateway.decisions()) == before


async def test_an_education_message_is_never_a_notice(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one")
    (tmp_path / "en.txt").write_text("Subject: How training works\n\nWhat you make public can be used.\n")
    await register(gateway, message=MessageKind.EDUCATION, templates=tmp_path)
    file = addresses(tmp_path / "addresses.csv", "one")
    with mail_server() as server:
        done = notify(
            gateway.database_url, server, tmp_path / "data", "--addresses", file, "--educate", "--channel", "EMAIL"
        )
    assert done.returncode == 0, done.stderr
    assert server.text(email_of("one")) == "What you make public can be used.\n"
    assert gateway.execute("SELECT count(*) FROM grounds.notice") == [(0,)]
    both = notify(gateway.database_url, None, tmp_path / "data", "--remind", "--educate")
    assert "--remind and --educate: cannot be combined" in both.stderr


async def test_the_commands_register_and_list(gateway: TestGateway, tmp_path: Path) -> None:
    gateway.set_clock(NOW)
    env = settings_of(gateway.database_url, None)
    file = write(tmp_path / "campaign.json", json.dumps(campaign(), indent=2))
    done = grounds("campaign", "register", file, "--json", data=tmp_path / "data", env=env)
    assert done.returncode == 0, done.stderr
    listed = grounds("campaign", "list", "--json", data=tmp_path / "data", env=env)
    latest, first = json.loads(listed.stdout)
    assert latest == {
        "epoch": EPOCH,
        "told": ["GENAI_TRAINING POST FACEBOOK"],
        "texts": {"NOTICE": json.loads(done.stdout)},
    }
    assert (first["epoch"], first["texts"]) == ("2025-04", {})
    write(file, json.dumps(campaign(told=[])))
    refused = grounds("campaign", "register", file, data=tmp_path / "data", env=env)
    assert (refused.returncode, refused.stderr.splitlines()[-1][:54]) == (
        2,
        "grounds: campaign 2026-05: the field `told` is empty (",
    )
    assert "POST FACEBOOK" in grounds("campaign", "list", data=tmp_path / "data", env=env).stdout
