"""Ids give nothing away: another audience's, a changed bit or a guess is no id at all."""

import base64

import pytest

from schema.actor import Role
from schema.relay.ids import IdKind, Ids, ids_of
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

NUMBERS = (1, 2, 255, 256, 10**9, 2**62)


@pytest.fixture
def ids() -> Ids:
    return ids_of(SECRET, "client:demo")


def changed(text: str, bit: int) -> str:
    block = bytearray(base64.urlsafe_b64decode(text + "=="))
    block[bit // 8] ^= 1 << bit % 8
    return base64.urlsafe_b64encode(bytes(block)).decode().rstrip("=")


@pytest.mark.parametrize("kind", IdKind)
def test_an_id_reads_back_as_what_was_written(ids: Ids, kind: IdKind) -> None:
    for number in NUMBERS:
        assert ids.decode(ids.encode(kind, number)) == (kind, number)
        assert ids.decode_as(kind, ids.encode(kind, number)) == number


def test_a_page_of_ids_is_what_each_would_be_alone(ids: Ids) -> None:
    assert ids.encode_all(IdKind.AUTHOR, NUMBERS) == [ids.encode(IdKind.AUTHOR, number) for number in NUMBERS]
    assert ids.encode_all(IdKind.AUTHOR, []) == []


def test_an_id_is_short_and_safe_in_a_url(ids: Ids) -> None:
    for number in range(2000):
        text = ids.encode(IdKind.TRAINABLE_CONTENT, number)
        assert len(text) == 22
        assert text.replace("-", "").replace("_", "").isalnum()


def test_an_id_of_one_kind_is_not_taken_for_another(ids: Ids) -> None:
    assert ids.decode_as(IdKind.TRAINABLE_CONTENT_CURSOR, ids.encode(IdKind.TRAINABLE_CONTENT, 7)) is None


def test_neighbours_have_nothing_in_common(ids: Ids) -> None:
    first, second = (ids.encode(IdKind.TRAINABLE_CONTENT, number) for number in (7, 8))
    assert sum(one == other for one, other in zip(first, second, strict=True)) < 8


def test_another_audience_cannot_read_an_id(ids: Ids) -> None:
    text = ids.encode(IdKind.TRAINABLE_CONTENT, 7)
    others = [Ids(SECRET, audience) for audience in ("client:other", "staff", "subject:demo", "demo", "")]
    for other in (*others, Ids(b"another secret", "client:demo")):
        assert other.decode(text) is None
        assert other.encode(IdKind.TRAINABLE_CONTENT, 7) != text


def test_no_bit_of_an_id_can_be_changed(ids: Ids) -> None:
    text = ids.encode(IdKind.TRAINABLE_CONTENT, 7)
    assert all(ids.decode(changed(text, bit)) is None for bit in range(128))


@pytest.mark.parametrize(
    "text", ["", "x", *("A" * count for count in (20, 21, 22, 23, 24)), "=" * 22, "é" * 22, " " * 22]
)
def test_anything_else_is_no_id(ids: Ids, text: str) -> None:
    assert ids.decode(text) is None


def test_an_id_has_one_spelling(ids: Ids) -> None:
    text = next(text for number in range(99) if (text := ids.encode(IdKind.AUTHOR, number))[-1] == "A")
    assert ids.decode(text) is not None
    # The last character has four bits to spare; in them nothing may hide.
    assert ids.decode(text[:-1] + "B") is None
    written = next(text for number in range(999) if "-" in (text := ids.encode(IdKind.AUTHOR, number)))
    assert ids.decode(written.replace("-", "+")) is None


async def test_pseudonyms_differ_between_clients_and_are_stable_for_one(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="second", kind="PHOTO")])
    first, again, other = [await gateway.pull(client=client) for client in ("one", "one", "two")]
    assert len(first) == len(other) == 2
    assert [item["id"] for item in first] == [item["id"] for item in again]
    assert {item["author"]["id"] for item in first} == {item["author"]["id"] for item in again}
    assert not {item["id"] for item in first} & {item["id"] for item in other}
    assert not {item["author"]["id"] for item in first} & {item["author"]["id"] for item in other}
    assert first[0]["author"] == first[1]["author"], "one author is one author to one client"
    # An examiner can follow either back to the same item.
    assert await gateway.platform_ids(item["id"] for item in first) == await gateway.platform_ids(
        item["id"] for item in other
    )


async def test_data_subjects_and_staff_see_different_ids_of_the_same_account(gateway: TestGateway) -> None:
    await gateway.ingest([fact("account")])
    query = "{ accounts(first: 1) { nodes { id } } }"
    officer = await gateway.ask(Role.PRIVACY_OFFICER, query)
    assert await gateway.ask(Role.AUDITOR, query) == officer
    subject = await gateway.ask(Role.DATA_SUBJECT, query, subject="author")
    assert subject["accounts"]["nodes"][0]["id"] != officer["accounts"]["nodes"][0]["id"]
