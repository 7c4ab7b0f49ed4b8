"""What `grounds demo` is shown on: every record as SPEC.md lists it, the same on every run, alike on every day."""

import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import chain
from typing import Any

import orjson
import pytest
from stdnum import iban

from app.demo.phrases import languages_of_country, phrasebooks
from app.demo.population import population_lines

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ITEMS = 20_000
Record = dict[str, Any]
Check = Callable[[Any], bool]

LANGUAGES = "bg cs da de el en es et fi fr ga hr hu is it lt lv mt nb nl pl pt ro sk sl sv"
KINDS = "POST COMMENT CAPTION PHOTO VIDEO AUDIO AI_INTERACTION PRIVATE_MESSAGE BUSINESS_MESSAGE"


def instant(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def day(value: Any) -> bool:
    parts = [int(part) for part in value.split("-")]
    return date(*[*parts, 1, 1][:3]).isoformat().startswith(value)


def words(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def matching(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(names: str) -> Check:
    return frozenset(names.split()).__contains__


def list_of(fields: dict[str, Check]) -> Check:
    return lambda value: (
        isinstance(value, list) and not list(chain.from_iterable(wrong(part, fields) for part in value))
    )


def nullable(check: Check) -> Check:
    return lambda value: value is None or check(value)


HASH = matching("[0-9a-f]{64}")
SOURCES = "AIPREF TDMREP C2PA PLATFORM NATURAL_LANGUAGE"

# The tables of SPEC.md; `nullable` may be null or missing.
FIELDS: dict[str, dict[str, Check]] = {
    "account": {
        "record": one_of("account"),
        "id": matching(r"account-\d+"),
        "person": nullable(matching(r"person-\d+")),
        "product": one_of("FACEBOOK INSTAGRAM MESSENGER WHATSAPP"),
        "kind": one_of("PERSONAL PAGE BUSINESS"),
        "born_on": nullable(day),
        "country": nullable(matching("[A-Z]{2}")),
        "status": one_of("ACTIVE DEACTIVATED DELETION_PENDING DELETED MEMORIALISED SUSPENDED"),
        "status_since": nullable(instant),
        "compromised": list_of({"from": instant, "to": nullable(instant)}),
        "contacts": lambda value: isinstance(value, list) and all(map(HASH, value)),
        "observed_at": instant,
    },
    "content": {
        "record": one_of("content"),
        "id": matching(r"content-\d+"),
        "account": matching(r"account-\d+"),
        "kind": one_of(KINDS),
        "audience": nullable(one_of("PUBLIC UNLISTED FRIENDS GROUP ONLY_ME")),
        "audience_since": nullable(instant),
        "conversation": nullable(one_of("ASSISTANT_ONLY GROUP")),
        "language": nullable(matching("[a-z]{2}(-[A-Z]{2})?")),
        "text": nullable(words),
        "media": list_of(
            {"type": words, "url": words, "sha256": HASH, "deidentified": (True, False, None).__contains__}
        ),
        "created_at": instant,
        "edited_at": nullable(instant),
        "deleted_at": nullable(instant),
        "parent": nullable(matching(r"content-\d+")),
        "references": list_of(
            {"account": nullable(words), "contact": nullable(HASH)}
            | {"relation": one_of("TAG MENTION COAUTHOR DEPICTED QUOTE")}
        ),
        "rights": list_of({"source": one_of(SOURCES), "train_ai": one_of("y n unknown")}),
        "scans": lambda value: (
            value.keys() <= {"special_category", "safety", "minors"} and set(value.values()) <= {"CLEAR", "FLAGGED"}
        ),
        "observed_at": instant,
    },
    "notice": {
        "record": one_of("notice"),
        "id": matching(r"notice-\d+-(IN_APP|EMAIL)"),
        "account": matching(r"account-\d+"),
        "channel": one_of("IN_APP EMAIL"),
        "epoch": matching(r"\d{4}-\d\d"),
        "sent_at": instant,
        "delivered_at": nullable(instant),
        "bounced_at": nullable(instant),
        "observed_at": instant,
    },
    "objection": {
        "record": one_of("objection"),
        "id": matching(r"objection-\d+"),
        "account": nullable(matching(r"account-\d+")),
        "person": nullable(matching(r"person-\d+")),
        "contact": nullable(HASH),
        "scope": one_of("ALL PUBLIC_CONTENT AI_INTERACTIONS"),
        "received_at": instant,
        "channel": one_of("FORM EMAIL LETTER API THIRD_PARTY"),
        "withdrawn_at": nullable(instant),
        "observed_at": instant,
    },
    "consent": {
        "record": one_of("consent"),
        "id": matching(r"consent-\d+"),
        "account": matching(r"account-\d+"),
        "given_at": instant,
        "withdrawn_at": nullable(instant),
        "observed_at": instant,
    },
}


def wrong(record: Record, fields: dict[str, Check]) -> Iterator[str]:
    yield from (f"{name} is no field" for name in record.keys() - fields.keys())
    for name, check in fields.items():
        if not check(record.get(name)):
            yield f"{name} is {record.get(name)!r}"


def instants(value: Any) -> Iterator[datetime]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from instants(part)
    elif isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        yield datetime.fromisoformat(value)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [orjson.loads(line) for line in population_lines(ITEMS, NOW)]


@pytest.fixture(scope="module")
def contents(records: list[Record]) -> list[Record]:
    return of(records, "content")


def of(records: list[Record], name: str) -> list[Record]:
    return [record for record in records if record["record"] == name]


def test_every_record_is_as_the_specification_lists_it(records: list[Record]) -> None:
    faults = [(record["id"], fault) for record in records for fault in wrong(record, FIELDS[record["record"]])]
    assert faults == []


def test_every_line_ends_where_its_record_ends() -> None:
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in population_lines(300, NOW))


def test_no_id_is_given_twice(records: list[Record]) -> None:
    assert len({record["id"] for record in records}) == len(records)


@pytest.mark.parametrize("items", [0, 1, 4, 7, 99, 1_003])
def test_exactly_the_items_asked_for_come_with_a_fifth_as_many_accounts(items: int) -> None:
    found = Counter(orjson.loads(line)["record"] for line in population_lines(items, NOW))
    assert found["content"] == items
    assert found["account"] == max(1, items // 5)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert list(population_lines(1_000, NOW)) == list(population_lines(1_000, NOW))
    assert list(population_lines(1_000, NOW)) != list(population_lines(1_000, NOW, seed=7))


def test_the_hour_and_the_zone_of_now_change_nothing_within_a_day() -> None:
    evening = NOW.replace(hour=23).astimezone(timezone(timedelta(hours=5)))
    assert list(population_lines(500, NOW)) == list(population_lines(500, evening))


def test_another_day_shows_the_same_people_and_texts_as_long_ago() -> None:
    later = NOW + timedelta(days=500)
    for first, second in zip(population_lines(500, NOW), population_lines(500, later), strict=True):
        one, other = orjson.loads(first), orjson.loads(second)
        assert one["id"] == other["id"]
        assert one.get("text") == other.get("text")
        assert [moment - NOW for moment in instants(one)] == [moment - later for moment in instants(other)]


def test_no_instant_lies_after_now(records: list[Record]) -> None:
    assert max(moment for record in records for moment in instants(record)) <= NOW


def test_nothing_is_observed_before_it_happened(records: list[Record]) -> None:
    for record in records:
        assert max(instants(record)) == datetime.fromisoformat(record["observed_at"])


def test_every_kind_and_all_26_languages_appear(contents: list[Record]) -> None:
    assert {content["kind"] for content in contents} == set(KINDS.split())
    written = {content["language"][:2] for content in contents if content.get("language")}
    assert written == set(LANGUAGES.split()) == set(phrasebooks())


def test_an_author_writes_in_a_language_of_the_country_or_in_english(records: list[Record]) -> None:
    countries = {account["id"]: account["country"] for account in of(records, "account")}
    for content in of(records, "content"):
        language = (content.get("language") or "en")[:2]
        assert language in {"en", *languages_of_country(countries[content["account"]])}


def test_texts_repeat_seldom(contents: list[Record]) -> None:
    posts = [content["text"] for content in contents if content["kind"] == "POST" and content.get("text")]
    assert len(set(posts)) > 0.9 * len(posts)
    assert Counter(posts).most_common(1)[0][1] < 8


def test_every_sentence_of_a_phrasebook_is_whole() -> None:
    for language, book in phrasebooks().items():
        assert (len(book.openings), len(book.bodies), len(book.closings)) >= (12, 36, 6), language
        parts = (book.openings, book.bodies, book.closings, book.reactions, book.replies)
        sentences = [*chain(*parts, book.questions, book.asides, book.messages, book.enquiries), book.reservation]
        for sentence in sentences:
            assert sentence[-1] in ".!?;", (language, sentence)
            assert not re.search(r"[\[\]{}|]|  ", sentence), (language, sentence)
        assert all(frame.count("{}") == 1 for frame in [*book.identifiers.values(), book.check]), language


def test_about_three_texts_in_a_hundred_carry_a_made_up_identifier(contents: list[Record]) -> None:
    texts = " \n".join(content.get("text") or "" for content in contents)
    emails = re.findall(r"[\w.]+@([\w.]+\w)", texts)
    accounts = re.findall(r"\b[A-Z]{2}\d{2}(?: ?\d){10,}", texts)
    telephones = re.findall(r"\+\d[\d ]+", texts)
    handles = re.findall(r"(?<=\s)@\w+", texts)
    addresses = re.findall(r"\b(?:192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|2001:db8::)\d+", texts)
    links = re.findall(r"https://example\.org/\w+\?ref=\d+", texts)
    kinds = (emails, accounts, telephones, handles, addresses, links)
    assert set(emails) == {"example.org"}
    assert all(iban.is_valid(account) for account in accounts)
    assert all(
        telephone.startswith(("+49 30 23125", "+33 1 99 00", "+46 8 465 004", "+353 20 91", "+44 20 7946 0"))
        for telephone in telephones
    )
    assert all(len(kind) > ITEMS * 0.003 for kind in kinds)
    assert ITEMS * 0.02 < sum(map(len, kinds)) < ITEMS * 0.04


def test_people_have_accounts_of_every_sort(records: list[Record]) -> None:
    accounts = of(records, "account")
    births = Counter(len(account["born_on"] or "") for account in accounts)
    products = Counter(account["product"] for account in accounts)
    assert births.keys() == {0, 4, 7, 10}
    assert 0.5 < products["FACEBOOK"] / len(accounts) < 0.6
    assert 0.32 < products["INSTAGRAM"] / len(accounts) < 0.42
    assert {account["status"] for account in accounts} >= {"ACTIVE", "DELETED", "SUSPENDED", "MEMORIALISED"}
    assert {account["country"] for account in accounts} >= {None, "US", "GB", "CH", "IS", "LI", "NO", "DE", "MT"}
    assert any(account["compromised"] for account in accounts)
    assert any(account["status_since"] is None for account in accounts)
    assert max(Counter(account["person"] for account in accounts if account["person"]).values()) >= 3
    assert 30 < sum((account["born_on"] or "") > f"{NOW.year - 18}-{NOW:%m-%d}" for account in accounts) < 400


def test_notices_are_delivered_returned_or_still_running(records: list[Record]) -> None:
    notices = of(records, "notice")
    month_ago = NOW - timedelta(days=30)
    delivered = [datetime.fromisoformat(notice["delivered_at"]) for notice in notices if notice["delivered_at"]]
    assert {notice["channel"] for notice in notices} == {"IN_APP", "EMAIL"}
    assert len(delivered) < len(notices)
    assert any(notice["bounced_at"] and notice["delivered_at"] for notice in notices)
    assert 0.01 < sum(moment > month_ago for moment in delivered) / len(delivered) < 0.1


def test_objections_have_every_target_scope_and_outcome(records: list[Record]) -> None:
    objections = of(records, "objection")
    hashes = {contact for account in of(records, "account") for contact in account["contacts"]}
    targets = [{"account", "person", "contact"} & objection.keys() for objection in objections]
    assert 0.03 < len(objections) / (ITEMS / 5) < 0.08
    assert set(map(len, targets)) == {1}
    assert set().union(*targets) == {"account", "person", "contact"}
    assert {objection["scope"] for objection in objections} == {"ALL", "PUBLIC_CONTENT", "AI_INTERACTIONS"}
    assert any(
        objection["withdrawn_at"] and objection["withdrawn_at"] < objection["received_at"] for objection in objections
    )
    assert any(
        objection["withdrawn_at"] and objection["withdrawn_at"] > objection["received_at"] for objection in objections
    )
    assert any(objection["contact"] not in hashes for objection in objections if "contact" in objection)


def test_contents_meet_every_condition_and_miss_it(records: list[Record], contents: list[Record]) -> None:
    known = {record["id"] for record in records}
    comments = [content.get("parent") for content in contents if content["kind"] == "COMMENT"]
    media = [medium["deidentified"] for content in contents for medium in content["media"]]
    scans = Counter(tuple(sorted(content["scans"].values())) for content in contents)
    hashes = {contact for account in of(records, "account") for contact in account["contacts"]}
    referenced = [reference for content in contents for reference in content["references"]]
    references = [reference["account"] for reference in referenced if "account" in reference]
    depicted = [reference["contact"] in hashes for reference in referenced if "contact" in reference]
    assert None in comments
    assert 0.9 < sum(parent in known for parent in comments) / len(comments) < 1
    assert {True, False, None} == set(media)
    assert ("CLEAR", "CLEAR") in scans
    assert () in scans
    assert any("FLAGGED" in found for found in scans)
    assert len(references) + len(depicted) == len(referenced)
    assert 0 < depicted.count(False) < depicted.count(True)
    assert 0 < sum(account not in known for account in references) < len(references) / 10
    assert {right["source"] for content in contents for right in content["rights"]} == set(SOURCES.split())
    assert all(content.get("audience") is None for content in contents if content["kind"] == "AI_INTERACTION")
    assert any(content.get("deleted_at") for content in contents)
    assert any("parent" not in content for content in contents)


def test_memory_does_not_grow_with_the_population() -> None:
    next(population_lines(1, NOW))
    assert peak(8_000) < peak(2_000) + 300_000


def peak(items: int) -> int:
    tracemalloc.start()
    try:
        for _ in population_lines(items, NOW):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_population_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not -1"):
        population_lines(-1, NOW)
    with pytest.raises(ValueError, match="time zone"):
        population_lines(1, datetime(2026, 11, 22))
