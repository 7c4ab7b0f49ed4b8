"""Notices are written in each person's language, and a template that will not do is refused before anybody is told."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.links import Purpose, read_link
from app.notices.templates import open_writer
from app.settings import SettingsError
from db.policy.document import default_policy
from tests.campaigning import SITE, addresses, email_of, mail_server, notify, peopled, states
from tests.facts import fact
from tests.gateway import SECRET, TestGateway

pytestmark = pytest.mark.xdist_group("command")


async def test_each_is_told_in_their_language_with_a_link_that_opens_their_form(
    gateway: TestGateway, tmp_path: Path
) -> None:
    expected = {"de": "de", "de-AT": "de", "FR": "fr", "es-419": "es", "it": "it", "sv": "en", "": "en", "en": "en"}
    people = [f"p{place}" for place, _ in enumerate(expected)]
    await peopled(gateway, *people, "writes")
    await gateway.ingest([fact("content", account="writes", language="it")])
    lines = [f"{account},{email_of(account)},{said}" for account, said in zip(people, expected, strict=True)]
    file = tmp_path / "addresses.csv"
    file.write_text("\n".join(["account,email,language", *lines, "writes,writes@example.org,"]))
    with mail_server() as server:
        arguments = ("--channel", "EMAIL", "--addresses", file)
        assert notify(gateway.database_url, server, tmp_path / "data", *arguments).returncode == 0
    subjects = {"de": "Ihre Daten", "fr": "Vos données", "es": "Sus datos", "it": "I Suoi dati", "en": "Your Facebook"}
    for account, language in [*zip(people, expected.values(), strict=True), ("writes", "it")]:
        message = server.message(email_of(account))
        assert message["Content-Language"] == language
        assert message["Subject"].startswith(subjects[language])
        assert message["From"] == "Example Platform <privacy@example.org>"
        text = server.text(email_of(account))
        (token,) = re.findall(rf"^{SITE}/object\?t=([\w-]+)&lang={language}$", text, re.MULTILINE)
        assert read_link(SECRET, token, Purpose.OBJECT, datetime.now(UTC)) == account
        assert read_link(SECRET, token, Purpose.ME, datetime.now(UTC)) is None
        assert "30" in text
        assert "27" in text


BODY = "Subject: About {{ product }}\n{{ kinds }} {{ purpose }}\n{{ object_link }}\n"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"en.txt": "Subject: x\nno link"}, "en.txt: the link to the objection form is missing"),
        ({"en.txt": "Subject: x\n{{ me_link }}"}, "en.txt: the link to the objection form is missing"),
        ({"en.txt": BODY.removeprefix("Subject: ")}, "en.txt: does not begin with its subject"),
        ({"en.txt": BODY + "{{ birthday }}"}, "en.txt: 'birthday' is undefined"),
        ({"en.txt": BODY + "{% if %}"}, "en.txt: "),
        ({"en.txt": BODY + "{{ ''.__class__.__mro__ }}"}, "en.txt: "),
        ({"de.txt": BODY}, "en.txt: is missing"),
        ({"en.txt": BODY, "pl.txt": BODY}, "pl.txt: there are no words for AI_INTERACTION"),
        ({"en.txt": BODY, "words.json": "[]"}, "words.json: is no object"),
        ({}, "en.txt: is missing"),
    ],
)
def test_a_template_that_will_not_do_is_refused(tmp_path: Path, files: dict[str, str], told: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=re.escape(told)):
        open_writer(tmp_path, "EMAIL", default_policy(), SECRET, SITE)


async def test_over_a_template_that_will_not_do_nobody_is_told(gateway: TestGateway, tmp_path: Path) -> None:
    await peopled(gateway, "one")
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "en.txt").write_text(BODY)
    (templates / "de.txt").write_text("Subject: x\nno link")
    with mail_server() as server:
        file = addresses(tmp_path / "addresses.csv", "one")
        done = notify(gateway.database_url, server, tmp_path / "data", "--addresses", file, "--template", templates)
    assert done.returncode == 2
    assert "de.txt: the link to the objection form is missing" in done.stderr
    assert (server.taken, states(gateway)) == ([], {})


async def test_ones_own_templates_are_used_each_channels_own_before_the_common_one(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await peopled(gateway, "one")
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "en.txt").write_text(BODY)
    (templates / "pl.txt").write_text(BODY)
    (templates / "pl.email.txt").write_text(BODY.replace("About", "O"))
    codes = ("POST", "COMMENT", "CAPTION", "PHOTO", "AI_INTERACTION", "GENAI_TRAINING")
    (templates / "words.json").write_text(json.dumps({"pl": {code: f"<{code}>" for code in codes}}))
    file = addresses(tmp_path / "addresses.csv", "one", language="pl")
    with mail_server() as server:
        done = notify(gateway.database_url, server, tmp_path / "data", "--addresses", file, "--template", templates)
    assert done.returncode == 0, done.stderr
    message = server.message(email_of("one"))
    assert message["Subject"] == "O Facebook"
    assert server.text(email_of("one")).startswith(
        "<POST>, <COMMENT>, <CAPTION>, <PHOTO>, <AI_INTERACTION> <GENAI_TRAINING>\n"
    )
    assert gateway.execute("SELECT subject, language FROM grounds.notice_task WHERE body IS NOT NULL") == [
        ("About Facebook", "en")
    ]
