"""Addresses of people are read alike however they are typed, and hashed as a platform hashes them."""

import hashlib

import pytest

from db.ingest.contacts import ContactError, ContactKind, ContactProblem, contact_hash, contact_of_id, read_contact
from tests.support.typed_addresses import EMAILS, PHONES, REFUSED, USER_NAMES

GOLDEN = {
    "Anna@example.org": "a3bf86238a1c59bd2f0a648af9293620f90d18dad133d8fe2341cf9664a5d6d0",
    " ANNA@Example.ORG\n": "a3bf86238a1c59bd2f0a648af9293620f90d18dad133d8fe2341cf9664a5d6d0",
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_contact_is_the_sha_256_that_a_platform_makes_of_it() -> None:
    written = {
        "ANNA+tag@example.org": "anna+tag@example.org",
        "A\N{COMBINING DIAERESIS}rger@example.org": "ärger@example.org",
        "jane@bücher.example": "jane@bücher.example",
        "+353 1 234 5678": "+35312345678",
        "00353 (0)1/234-56.78": "+35312345678",
        "+49\u2011151\u202f2345678": "+491512345678",
        "@Jane.Doe": "jane.doe",
    }
    for text, digest in (GOLDEN | {text: sha256(normalised) for text, normalised in written.items()}).items():
        assert contact_hash(text) == digest, text
    for none in ("anna@example", "01 234 5678", "+1234", "+1234567890123456", "Anna Example", ""):
        assert contact_hash(none) is None, none


def test_each_way_to_type_an_address_is_that_address_or_is_refused() -> None:
    assert len(EMAILS) + len(PHONES) >= 32
    assert len(USER_NAMES) >= 17
    for known, ways in (("anna@example.org", EMAILS), ("+491705550119", PHONES), ("jane.doe", USER_NAMES)):
        for typed in ways:
            assert contact_hash(known) in read_contact(typed, country="DE").hashes, typed
    for typed in REFUSED:
        assert contact_hash(typed) is None, typed


def test_an_international_domain_is_known_in_unicode_and_in_ascii() -> None:
    unicode, ascii_form = "jane@bücher.example", "jane@xn--bcher-kva.example"
    assert (
        set(read_contact(unicode).hashes)
        == set(read_contact(ascii_form).hashes)
        == {sha256(unicode), sha256(ascii_form)}
    )
    both = read_contact("jane@straße.example").hashes
    assert {sha256("jane@strasse.example"), sha256("jane@xn--strae-oqa.example")} < set(both), "IDNA 2003 and 2008"


def test_a_number_without_its_country_asks_for_it_where_there_are_several() -> None:
    with pytest.raises(ContactError, match="DE, AT") as found:
        read_contact("0170 5550119", language="de")
    assert found.value.problem is ContactProblem.COUNTRY
    assert found.value.countries[0] == "DE", "the language's countries come first"
    spanish = read_contact("912 345 678", country="ES")
    assert (spanish.kind, spanish.calling_code, spanish.hashes) == (ContactKind.PHONE, 34, (sha256("+34912345678"),))
    rome = read_contact("+39 (0)6 1234 5678").hashes
    assert set(rome) == {sha256("+39612345678"), sha256("+390612345678")}, "in Italy the 0 is part of the number"


def test_an_id_of_the_platform_is_known_by_the_user_name_that_it_can_be_typed_as() -> None:
    for platform_id in (
        "author",
        "a-1",
        "Jane.Doe",
        "jane@server.example",
        "https://server.example/users/jane",
        "10001",
    ):
        typed = f"@{platform_id}" if platform_id.isdigit() else platform_id
        assert contact_of_id(platform_id) == contact_hash(typed), platform_id
    for platform_id in ("two words", "a/b/c", "https://server.example/"):
        assert contact_of_id(platform_id) is None
