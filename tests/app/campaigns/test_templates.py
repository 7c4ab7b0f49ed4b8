"""A campaign's texts are written from templates once, and each person reads the one in their language."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.auth.signed_links import LinkAction, read_link
from app.campaigns.templates import write_texts
from app.settings import SettingsError
from app.texts.catalogue import open_catalogue
from db.policy.document import Use, default_policy
from db.policy.grounds import GroundCode
from db.vocabulary import MessageKind
from tests.support.campaigns import SITE, email_of, mail_server, notify, peopled, register
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway

pytestmark = pytest.mark.xdist_group("command")


async def test_each_is_told_in_their_language_with_a_link_that_opens_their_form(
    gateway: TestGateway, tmp_path: Path
) -> None:
    expected = {"de": "de", "de-AT": "de", "FR": "fr", "es-419": "es", "it": "it", "xh": "en", "": "en", "en": "en"}
    people = [f"p{place}" for place, _ in enumerate(expected)]
    await peopled(gateway, *people, "writes")
    await gateway.ingest([fact("content", account="writes", language="it")])
    lines = [f"{account},{email_of(account)},{said}" for account, said in zip(people, expected, strict=True)]
    file = tmp_path / "addresses.csv"
    file.write_text("\n".join(["account,email,language", *lines, "writes,writes@example.org,"]))
    with mail_server() as server:
        arguments = ("--channel", "EMAIL", "--addresses", file)
        assert notify(gateway.database_url, server, tmp_path / "data", *arguments).returncode == 0
    subjects = {"de": "Ihre Daten", "fr": "Vos données", "es": "Sus datos", "it": "I Suoi dati", "en": "Your data"}
    for account, language in [*zip(people, expected.values(), strict=True), ("writes", "it")]:
        message = server.message(email_of(account))
        assert message["Content-Language"] == language
        assert message["Subject"].startswith(subjects[language])
        assert message["From"] == "Example Platform <privacy@example.org>"
        text = server.text(email_of(account))
        (token,) = re.findall(rf"^{SITE}/object\?t=([\w-]+)&lang={language}$", text, re.MULTILINE)
        assert read_link(SECRET, token, LinkAction.OBJECT, datetime.now(UTC)) == account
        assert read_link(SECRET, token, LinkAction.ME, datetime.now(UTC)) is None
        assert re.findall(rf"{SITE}\S+", text) == [
            f"{SITE}/object?t={token}&lang={language}",
            f"{SITE}/information?lang={language}",
        ]
        assert "30" in text
        assert "2025" not in text, "nothing begins that has begun long ago"
    sent = gateway.execute(
        "SELECT a.platform_id, n.language FROM grounds.notice n JOIN grounds.account a ON a.id = n.account"
    )
    assert dict(sent) == {**dict(zip(people, expected.values(), strict=True)), "writes": "it"}


WHOLE = (
    "{{ information_link }}\n"
    "{{ controller.name }} {{ controller.contact }} {{ controller.dpo }} {{ controller.authority }}\n"
)
OBJECT = (
    "Subject: About your data\n{% for use in uses %}{{ use.kinds }}{% endfor %} {{ purposes }}\n{{ object_link }}\n"
)
BODY = OBJECT + WHOLE
TOLD = [Use("GENAI_TRAINING", "POST", "FACEBOOK"), Use("GENAI_TRAINING", "POST", "INSTAGRAM")]


def texts_from(folder: Path | None, message: MessageKind = MessageKind.NOTICE, **changed: object) -> dict[str, str]:
    return write_texts(folder, message, default_policy().model_copy(update=changed), TOLD, NOW)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"en.txt": "Subject: x\nno link"}, "en.txt: the link to the objection form is missing"),
        ({"en.txt": "Subject: x\n{{ information_link }}"}, "en.txt: the link to the objection form is missing"),
        ({"en.txt": "Subject: x\n{{ object_link }}."}, "en.txt: the link to the objection form is missing"),
        ({"en.txt": OBJECT + "{{ controller.name }}"}, "en.txt: the link to the full information is missing"),
        *(
            (
                {"en.txt": BODY.replace(f"{{{{ controller.{part} }}}}", "")},
                f"en.txt: the controller's {part} is missing",
            )
            for part in ("name", "contact", "dpo", "authority")
        ),
        ({"en.txt": BODY.removeprefix("Subject: ")}, "en.txt: the subject is missing"),
        ({"en.txt": BODY.replace("About your data", "")}, "en.txt: the subject is empty"),
        ({"en.txt": BODY + "{{ me_link }}"}, "en.txt: 'me_link' is undefined"),
        ({"en.txt": BODY + "{{ birthday }}"}, "en.txt: 'birthday' is undefined"),
        ({"en.txt": BODY + "{% if %}"}, "en.txt: "),
        ({"en.txt": BODY + "{{ ''.__class__.__mro__ }}"}, "en.txt: "),
        ({"de.txt": BODY}, "en.txt: is missing"),
        ({"en.txt": BODY, "xh.txt": BODY}, "xh.txt: there are no words for GENAI_TRAINING, POST"),
        ({"en.txt": BODY, "words.json": "[]"}, "words.json: must be a JSON object"),
        ({}, "en.txt: is missing"),
    ],
)
def test_a_template_that_will_not_do_is_refused(tmp_path: Path, files: dict[str, str], told: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=re.escape(told)):
        texts_from(tmp_path)


def test_without_a_controller_in_the_policy_nothing_is_written() -> None:
    with pytest.raises(SettingsError, match="has no controller"):
        texts_from(None, controller=None)


def test_the_shipped_texts_say_what_the_campaign_and_the_policy_say() -> None:
    controller = default_policy().controller
    assert controller is not None
    assert len(controller.statements_in("it")) == 2
    for message in (MessageKind.NOTICE, MessageKind.REMINDER):
        texts = texts_from(None, message)
        assert set(texts) == set(open_catalogue(None).languages)
        assert "- on Facebook, Instagram: public posts\n" in texts["en"]
        for language, text in texts.items():
            assert all(statement in text for statement in controller.statements_in(language).values())
        assert all("30" in text and "{{ object_link }}\n" in text and "2025" not in text for text in texts.values())
    unstated = texts_from(None, controller=controller.model_copy(update={"storage": None, "transfers": None}))["en"]
    assert "How long" not in unstated
    assert "\n\n\n" not in unstated
    begins = NOW + 40 * DAY
    assert f"before {begins.day} {begins:%B %Y}." in texts_from(None, effective_from=begins)["en"]


def test_the_shipped_texts_are_refused_for_what_needs_consent(tmp_path: Path) -> None:
    consent = {GroundCode.OPTED_IN: default_policy().grounds[GroundCode.PUBLIC_CONTENT]}
    with pytest.raises(SettingsError, match="is missing, but policy 2025-05-27 asks for consent to use"):
        texts_from(None, grounds=consent)
    (tmp_path / "en.txt").write_text(BODY)
    assert set(texts_from(tmp_path, grounds=consent)) == {"en"}


def test_several_purposes_are_told_apart(tmp_path: Path) -> None:
    told = [*TOLD, Use("RESEARCH", "VIDEO", "FACEBOOK")]
    (tmp_path / "words.json").write_text(json.dumps({"en": {"RESEARCH": "research"}}))
    (tmp_path / "en.txt").write_text(
        BODY.replace("{{ use.kinds }}", "{{ use.kinds }} on {{ use.products }} for {{ use.purposes }}; ")
    )
    text = write_texts(tmp_path, MessageKind.NOTICE, default_policy(), told, NOW)["en"]
    assert "public posts on Facebook, Instagram for training of generative AI; " in text
    assert "public videos on Facebook for research; " in text


def test_a_text_that_names_nothing_is_kept_as_it_stands_and_an_education_message_needs_no_link(tmp_path: Path) -> None:
    text = "Subject: How training works\n\nWhat is made public can be used.  \n"
    for language in ("en", "pl"):
        (tmp_path / f"{language}.txt").write_text(text)
    assert texts_from(tmp_path, MessageKind.EDUCATION) == {"en": text, "pl": text}
    with pytest.raises(SettingsError, match="--template: is missing"):
        texts_from(None, MessageKind.EDUCATION)


async def test_ones_own_templates_are_sent_as_they_were_registered(gateway: TestGateway, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "en.txt").write_text(BODY)
    (templates / "pl.txt").write_text(BODY.replace("About your data", "O danych"))
    codes = ("POST", "COMMENT", "CAPTION", "PHOTO", "AI_INTERACTION", "GENAI_TRAINING")
    (templates / "words.json").write_text(json.dumps({"pl": {code: f"<{code}>" for code in codes}}))
    await peopled(gateway, "one", templates=templates)
    file = tmp_path / "addresses.csv"
    file.write_text(f"account,email,language\none,{email_of('one')},pl-PL\n")
    (templates / "pl.txt").write_text("Subject: what is changed later is sent to nobody")
    with mail_server() as server:
        done = notify(gateway.database_url, server, tmp_path / "data", "--addresses", file)
    assert done.returncode == 0, done.stderr
    assert server.message(email_of("one"))["Subject"] == "O danych"
    assert server.text(email_of("one")).startswith("<POST>, <COMMENT>, <CAPTION>")
    assert gateway.execute("SELECT subject, language FROM grounds.notice_task WHERE body IS NOT NULL") == [
        ("About your data", "en")
    ]
    (templates / "pl.txt").unlink()
    with pytest.raises(SettingsError, match=r"texts\.pl: the text in this language is missing"):
        await register(gateway, templates=templates)
