"""The target of an objection is read alike at the form, the command line and the API."""

import pytest

from db.ingest.contacts import contact_hash
from db.oversight.objection_filing import (
    Target,
    TargetError,
    TargetProblem,
    contact_target,
    stated_contact,
    stated_target,
)
from db.vocabulary import TargetKind

ANNA = Target(TargetKind.CONTACT, str(contact_hash("anna@example.org")))


def test_what_is_typed_becomes_the_hash_of_an_address() -> None:
    for typed in (" Anna@Example.org ", ANNA.value, f"{ANNA.value}\n", ANNA.value.upper()):
        assert contact_target(stated_contact(typed)) == ANNA
    for typed in ("anna", "@anna", " Anna "):
        assert contact_target(stated_contact(typed)) == Target(TargetKind.CONTACT, str(contact_hash("anna")))


def test_what_can_be_no_address_is_refused_by_its_reason() -> None:
    wrong = {
        TargetProblem.MISSING: ["", " \n"],
        TargetProblem.EMAIL: ["anna@example", "anna @example.org", "anna@", "anna@example..org"],
        TargetProblem.PHONE: ["12345", "1 234 5678 9012 3456"],
        TargetProblem.COUNTRY: ["0170 5550119"],
        TargetProblem.NAME: ["@", "a" * 501, "a\0b", "a\ud800", "Anna Example", "did:plc:abc"],
    }
    for problem, texts in wrong.items():
        for typed in texts:
            with pytest.raises(TargetError) as found:
                stated_contact(typed)
            assert found.value.problem is problem, typed


def test_exactly_one_field_names_a_target() -> None:
    assert stated_target(account="a") == Target(TargetKind.ACCOUNT, "a")
    assert stated_target(account="0049-170-5550119") == Target(TargetKind.ACCOUNT, "0049-170-5550119")
    assert stated_target(person="p") == Target(TargetKind.PERSON, "p")
    assert stated_target(contact="Anna@example.org") == ANNA
    assert stated_target(contact="01 234 5678", country="ie") == stated_target(contact="+353 1 234 5678")
    wrong: dict[TargetProblem, list[dict[str, str]]] = {
        TargetProblem.MISSING: [{}, {"contact": ""}],
        TargetProblem.AMBIGUOUS: [{"account": "a", "person": "p"}, {"account": "a", "contact": ANNA.value}],
        TargetProblem.PHONE: [{"contact": "0170 5550119", "country": "XX"}],
        TargetProblem.ADDRESS: [{"account": "anna@example.org"}, {"person": "+353 1 234 5678"}, {"account": "a@b"}],
        TargetProblem.ID: [{"account": ""}, {"person": "p" * 2049}, {"account": "a\nb"}],
    }
    for problem, stated in wrong.items():
        for fields in stated:
            with pytest.raises(TargetError) as found:
                stated_target(**fields)
            assert found.value.problem is problem
