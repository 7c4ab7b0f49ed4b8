"""The form, its answer, the receipt, and one's own data, over HTTP: what they say, and what they do not disclose."""

import logging
import re
from typing import Any

import httpx
import pytest

from app.auth.signed_links import LinkAction, sign_link
from app.web.privacy.objection_form import BODY_LIMIT
from app.web.privacy.rendering import languages_offered, texts_of
from db.ingest.contacts import contact_hash
from db.policy.conditions import CONDITIONS
from db.policy.grounds import GroundCode
from schema.actor import Role
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway

ADDRESS = "anna@example.org"
KNOWN = ("anna@example.org", " ANNA@EXAMPLE.ORG ", "+353 1 234 5678", "author", "@author")
UNKNOWN = ("nobody@example.org", "nobody@example.com", "+353 1 000 0000", "nobody", "@nobody")


@pytest.fixture
async def subject_gateway(gateway: TestGateway) -> TestGateway:
    """Somebody whose post is permitted."""
    gateway.set_clock(NOW)
    contacts = [contact_hash(ADDRESS), contact_hash("+35312345678")]
    answer = await gateway.ingest([fact("account", contacts=contacts), fact("content"), fact("notice")])
    assert answer["total"]["rejected"] == 0
    return gateway


def link(purpose: LinkAction, account: str = "author", days: int = 1) -> dict[str, str]:
    return {"t": sign_link(SECRET, account, purpose, NOW + days * DAY)}


async def own_link(gateway: TestGateway, account: str = "author") -> dict[str, str]:
    """Let the platform issue a link to the own data."""
    return {"t": await gateway.reading_token(account)}


async def objected(gateway: TestGateway, who: str, **fields: str) -> httpx.Response:
    """Send the form as a browser does, and follow it to its answer."""
    response = await gateway.client.post("/object", data={"who": who} | fields, follow_redirects=True)
    assert response.status_code == 200, response.text
    assert response.url.path == "/object/receipt"
    return response


def blurred(answer: str) -> str:
    """Take out what differs from one answer to the next: the reference and the sealed receipt."""
    return re.sub(r"\bt=[\w-]+", "t=", re.sub(r"filed(-[0-9a-f]{4}){3}", "filed-", answer))


@pytest.mark.parametrize("who", KNOWN)
async def test_an_objection_is_in_force_when_its_answer_comes(subject_gateway: TestGateway, who: str) -> None:
    assert len(await subject_gateway.pull()) == 1
    answer = await objected(subject_gateway, who)
    assert await subject_gateway.pull() == []
    assert "You have objected" in answer.text
    assert re.search(r"filed-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}", answer.text)
    assert "1 June 2026, 12:00 UTC" in answer.text


async def test_the_answer_does_not_tell_whether_there_is_an_account(subject_gateway: TestGateway) -> None:
    answers = [await objected(subject_gateway, who) for who in (*KNOWN, *UNKNOWN)]
    known, unknown = ({blurred(each.text) for each in some} for some in (answers[: len(KNOWN)], answers[len(KNOWN) :]))
    assert known == unknown
    assert len(known) == 3, "one for an e-mail address, one for a phone number of a country, one for a user name"
    headers = [{**answer.headers, "date": "", "content-length": ""} for answer in answers]
    assert all(each == headers[0] for each in headers)
    assert len({answer.text for answer in answers}) == len(answers), "but each has its own reference"


async def test_an_answer_that_told_of_accounts_would_be_noticed(
    subject_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(texts_of("en")["answer"], "lead", "Your objection reached somebody.")
    telling = await objected(subject_gateway, KNOWN[0])
    monkeypatch.undo()
    assert blurred(telling.text) != blurred((await objected(subject_gateway, UNKNOWN[0])).text)


async def test_what_is_typed_is_hashed_and_neither_kept_nor_logged(
    subject_gateway: TestGateway, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for who in (ADDRESS, "anna.example", "https://social.example/@anna", "0174 2606622", "+49 174 2606622"):
        await subject_gateway.client.post("/object", data={"who": who, "country": "DE"})
    await subject_gateway.client.post("/object", data={"who": f"{ADDRESS}@"})
    tables = subject_gateway.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'grounds'")
    kept = [str(subject_gateway.execute(f"SELECT t::text FROM grounds.{table} t")) for (table,) in tables]
    written = capfd.readouterr()
    seen = "".join([*kept, written.out, written.err, caplog.text]).lower()
    assert "anna" not in seen
    assert "2606622" not in seen
    assert str(contact_hash(ADDRESS)) in "".join(kept)


@pytest.mark.parametrize("language", languages_offered())
async def test_the_form_and_its_answer_speak_the_readers_language(subject_gateway: TestGateway, language: str) -> None:
    texts = texts_of(language)
    form = await subject_gateway.client.get(
        "/object", headers={"Accept-Language": f"xx, {language}-AT;q=0.9, en;q=0.1"}
    )
    assert f'<html lang="{language}">' in form.text
    assert texts["object"]["button"] in form.text
    answer = await subject_gateway.client.post(f"/object?lang={language}", data={"who": "anna"}, follow_redirects=True)
    assert texts["answer"]["lead"] in answer.text
    assert answer.headers["content-language"] == language
    wrong = await subject_gateway.client.post(f"/object?lang={language}", data={"who": ""})
    assert wrong.status_code == 422
    assert texts["errors"]["who_missing"] in wrong.text


async def test_the_language_of_the_address_goes_before_the_browsers_and_english_is_the_last_resort(
    subject_gateway: TestGateway,
) -> None:
    async def language(address: str, accepted: str) -> str:
        return (await subject_gateway.client.get(address, headers={"Accept-Language": accepted})).headers[
            "content-language"
        ]

    assert await language("/object?lang=it", "de") == "it"
    assert await language("/object?lang=xx", "de") == "de"
    assert await language("/object", "xx, yy;q=0.5, *;q=0.1") == "en"
    assert await language("/object", "en;q=no, fr;q=0.2") == "fr"


async def test_a_signed_link_says_who_objects(subject_gateway: TestGateway) -> None:
    form = await subject_gateway.client.get("/object", params=link(LinkAction.OBJECT))
    assert 'name="who"' not in form.text
    answer = await subject_gateway.client.post(
        "/object", params=link(LinkAction.OBJECT), data={"scope": "ALL"}, follow_redirects=True
    )
    assert answer.url.path == "/object/receipt"
    assert await subject_gateway.pull() == []
    assert subject_gateway.execute("SELECT kind, value FROM grounds.objection_target") == [("ACCOUNT", "author")]
    assert subject_gateway.execute("SELECT filed_by FROM grounds.objection") == [("SUBJECT",)]


@pytest.mark.parametrize(
    "given",
    [link(LinkAction.OBJECT, days=0), link(LinkAction.ME), {"t": ""}, {"t": "forged"}, {"t": "é" * 3000}],
    ids=["expired", "for another page", "empty", "forged", "long"],
)
async def test_a_link_that_is_none_leads_to_the_open_form(subject_gateway: TestGateway, given: dict[str, str]) -> None:
    form = await subject_gateway.client.get("/object", params=given)
    assert form.status_code == 200
    assert texts_of("en")["errors"]["link"] in form.text
    assert 'name="who"' in form.text
    assert (await subject_gateway.client.post("/object", params=given, data={"scope": "ALL"})).status_code == 422
    assert len(await subject_gateway.pull()) == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scope": "ALL"}, "who_missing"),
        ({"who": "  "}, "who_missing"),
        ({"who": "anna@example"}, "who_email"),
        ({"who": "anna @example.org"}, "who_email"),
        ({"who": "@"}, "who_name"),
        ({"who": "a" * 301}, "who_long"),
        ({"who": "a\0b"}, "who_name"),
        ({"who": "nobody in particular"}, "who_name"),
        ({"who": "12345"}, "who_phone"),
        ({"who": "0170 5550119"}, "who_country"),
        ({"who": "anna", "scope": "SOME"}, "scope"),
    ],
)
async def test_a_form_that_says_nothing_usable_is_shown_again_with_what_was_typed(
    subject_gateway: TestGateway, fields: dict[str, str], error: str
) -> None:
    response = await subject_gateway.client.post("/object", data=fields)
    assert response.status_code == 422
    assert texts_of("en")["errors"][error] in response.text
    assert 'role="alert"' in response.text
    assert subject_gateway.execute("SELECT count(*) FROM grounds.objection") == [(0,)]


async def test_what_is_typed_comes_back_as_text(subject_gateway: TestGateway) -> None:
    typed = '"><script>alert(1)</script>@'
    response = await subject_gateway.client.post("/object", data={"who": typed})
    assert "<script" not in response.text
    assert "&#34;&gt;&lt;script&gt;" in response.text


async def test_a_body_that_is_no_form_or_too_long_is_refused(subject_gateway: TestGateway) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content, headers, status in (
        (b"who=" + b"a" * BODY_LIMIT, form, 413),
        (b"who=%FF", form, 400),
        (b"&".join(b"a%d=1" % n for n in range(20)), form, 400),
        (b'{"who": "anna"}', {"Content-Type": "application/json"}, 415),
    ):
        response = await subject_gateway.client.post("/object", content=content, headers=headers)
        assert response.status_code == status
        assert texts_of("en")["errors"]["unreadable"] in response.text
    assert (await subject_gateway.client.put("/object", data={"who": "anna"})).status_code == 405


async def test_a_form_of_another_sites_page_is_refused(subject_gateway: TestGateway) -> None:
    for origin in ("https://elsewhere.example.org", "null", subject_gateway.address + ".example.org"):
        response = await subject_gateway.client.post("/object", data={"who": "author"}, headers={"Origin": origin})
        assert response.status_code == 403
    assert len(await subject_gateway.pull()) == 1
    response = await subject_gateway.client.post(
        "/object", data={"who": "author"}, headers={"Origin": subject_gateway.address}
    )
    assert response.status_code == 303


async def test_a_receipt_can_be_kept_and_checked_and_a_forged_one_is_none(subject_gateway: TestGateway) -> None:
    answer = await objected(subject_gateway, ADDRESS, scope="PUBLIC_CONTENT")
    as_json = await subject_gateway.client.get(answer.url.copy_merge_params({"format": "json"}))
    receipt: dict[str, Any] = as_json.json()
    assert receipt["reference"] in answer.text
    assert {receipt["scope"], receipt["received_at"]} == {"PUBLIC_CONTENT", NOW.isoformat()}
    assert receipt["reference"] in as_json.headers["content-disposition"]
    assert set(receipt) == {"reference", "received_at", "scope", "proof", "read_as", "calling_code"}, (
        "never the account"
    )
    as_text = await subject_gateway.client.get(answer.url.copy_merge_params({"format": "text", "lang": "de"}))
    assert receipt["reference"] in as_text.text
    assert "Sie haben widersprochen" in as_text.text
    checked = await subject_gateway.client.get("/object/receipt", params={"t": receipt["proof"]})
    assert receipt["reference"] in checked.text
    for forged in ("", "forged", receipt["proof"][:-1], link(LinkAction.OBJECT)["t"]):
        assert (await subject_gateway.client.get("/object/receipt", params={"t": forged})).status_code == 404


async def test_the_pages_let_nothing_in_and_are_kept_by_nobody(subject_gateway: TestGateway) -> None:
    for path in ("/object", "/me", "/object/receipt"):
        response = await subject_gateway.client.get(path)
        assert "default-src 'none'; style-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "set-cookie" not in response.headers
        assert not re.search(r"<script|\son\w+=|\sstyle=|https?://", response.text)
    style = await subject_gateway.client.get("/pages/grounds.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


async def test_my_data_needs_a_link_of_its_own_or_a_data_subjects_token(subject_gateway: TestGateway) -> None:
    async def status(params: dict[str, str], role: Role | None = None, **claims: str) -> int:
        headers = {"Authorization": f"Bearer {subject_gateway.token(role, **claims)}"} if role else {}
        return (await subject_gateway.client.get("/me", params=params, headers=headers)).status_code

    assert await status(await own_link(subject_gateway)) == 200
    assert await status({}, Role.DATA_SUBJECT, subject="author") == 200
    assert await status({}) == 401
    assert (await subject_gateway.client.get("/me")).headers["www-authenticate"] == "Bearer"
    assert await status(link(LinkAction.OBJECT)) == 401
    assert await status(link(LinkAction.ME)) == 401
    assert await status({"t": "forged"}, Role.DATA_SUBJECT, subject="author") == 401
    assert await status({}, Role.PRIVACY_OFFICER) == 401
    assert await status({}, Role.TRAINING_CLIENT) == 401


async def test_my_data_says_what_is_known_and_why_an_item_is_used_or_not(subject_gateway: TestGateway) -> None:
    hidden = fact("content", id="hidden", audience="FRIENDS", text="Only for friends.")
    theirs = [fact("account", id="b"), fact("content", id="theirs", account="b", text="A secret of somebody else.")]
    await subject_gateway.ingest([hidden, *theirs])
    await subject_gateway.pull()
    before = (await subject_gateway.client.get("/me", params=await own_link(subject_gateway))).text
    for said in ("Facebook", "1990", "A heron stood by the weir.", "Only for friends.", "April 2025. In the app."):
        assert said in before
    assert "This item is not public" in before
    assert "You made this item public as an adult" in before
    assert "Given to client: 1 June 2026, 12:00 UTC. Purpose: training of generative AI." in before
    assert "There is no objection from you" in before
    assert "somebody else" not in before
    button = re.search(r'class="action" href="(/object\?t=[^"]+)"', before)
    assert button
    answer = await subject_gateway.client.post(
        button[1].replace("&amp;", "&"), data={"scope": "ALL"}, follow_redirects=True
    )
    reference = re.search(r"filed(-[0-9a-f]{4}){3}", answer.text)
    assert reference
    after = (await subject_gateway.client.get("/me", params=await own_link(subject_gateway) | {"lang": "de"})).text
    assert reference[0] in after
    assert "Sie haben widersprochen." in after
    assert "Sie haben es als volljährige Person öffentlich gemacht" not in after


async def test_my_data_shows_every_item_twenty_a_page(subject_gateway: TestGateway) -> None:
    await subject_gateway.ingest([fact("content", id=f"i{n}", text=f"Number {n}.") for n in range(44)])
    address, found = f"/me?t={await subject_gateway.reading_token()}", []
    for size in (20, 20, 5):
        text = (await subject_gateway.client.get(address)).text
        found += re.findall(r"<h3>(\d+)\. ", text)
        assert len(found) % 20 == size % 20
        following = re.search(r'href="(\?[^"]+after=[^"]+)"', text.split('class="paging"')[-1])
        address = "/me" + following[1].replace("&amp;", "&") if following else ""
    assert found == [str(number) for number in range(1, 46)]
    assert not address


async def test_my_data_names_the_deliveries_of_items_that_are_not_numbered_too(
    subject_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subject_gateway.ingest([fact("content", id="later", text="A later one.")])
    await subject_gateway.pull()
    whole = (await subject_gateway.client.get("/me", params=await own_link(subject_gateway))).text
    assert whole.count("Given to client: ") == 2
    monkeypatch.setattr("db.records.own_deliveries.MAX_ITEMS", 1)
    latest = (await subject_gateway.client.get("/me", params=await own_link(subject_gateway))).text
    assert re.findall(r"<h3>(\d*)", latest) == ["", "2"]
    assert latest.count("Given to client: ") == 2


async def test_a_cursor_that_is_none_leads_to_the_first_items(subject_gateway: TestGateway) -> None:
    for account in ("author", "stranger"):
        whole = (await subject_gateway.client.get("/me", params=await own_link(subject_gateway, account))).text
        for after in ("", "nonsense", "x" * 22):
            answer = await subject_gateway.client.get(
                "/me", params=await own_link(subject_gateway, account) | {"after": after}
            )
            assert answer.status_code == 200
            assert ("A heron" in answer.text) == ("A heron" in whole) == (account == "author")


async def test_somebody_of_whom_nothing_is_known_is_told_so_and_can_object(subject_gateway: TestGateway) -> None:
    response = await subject_gateway.client.get("/me", params=await own_link(subject_gateway, "stranger"))
    assert response.status_code == 200
    assert texts_of("en")["me"]["no_data"] in response.text
    assert 'href="/object?t=' in response.text


async def test_a_failure_is_told_with_a_reference_and_nothing_else(subject_gateway: TestGateway) -> None:
    subject_gateway.execute(
        "ALTER FUNCTION grounds.file_objection(text, text[], text, text, timestamptz) RENAME TO gone"
    )
    response = await subject_gateway.client.post("/object", data={"who": "author"})
    assert response.status_code == 500
    assert re.search(r"tell the operator this number: [0-9a-f]{8}", response.text)
    subject_gateway.execute("ALTER FUNCTION grounds.deliveries_of_subject(bigint[]) RENAME TO gone")
    assert (await subject_gateway.client.get("/me", params=await own_link(subject_gateway))).status_code == 500


def test_every_condition_has_its_plain_words() -> None:
    words = texts_of("en")["conditions"]
    assert list(words) == [condition.code for condition in CONDITIONS]
    assert all({"PASS", "FAIL"} <= each.keys() for each in words.values())
    assert set(texts_of("en")["reasons"]) == set(GroundCode)


async def test_my_data_names_the_latest_hundred_deliveries(subject_gateway: TestGateway) -> None:
    await subject_gateway.ingest([fact("content", id=f"i{n}") for n in range(200)])
    for number in range(5):
        await subject_gateway.pull(first=10, client=f"client-{number}")
    response = await subject_gateway.client.get("/me", params=await own_link(subject_gateway), timeout=10)
    assert response.text.count("<tr>") == 1 + min(5 * 21, 100)
    assert texts_of("en")["me"]["delivered_more"] in response.text
