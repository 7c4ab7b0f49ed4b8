"""The target of an objection is read alike at the form, the command line and the API."""

import pytest

from db.ingest.contacts import contact_hash
from db.oversight.objection_filing import Target, TargetError, TargetProblem, stated_target, typed_target
from db.vocabulary import TargetKind

ANNA = Target(TargetKind.CONTACT, str(contact_hash("anna@example.org")))


def test_what_is_typed_is_read_as_an_address_or_else_as_a_user_name() -> None:
    for typed in (" Anna@Example.org ", ANNA.value, f"{ANNA.value}\n"):
        assert typed_target(typed) == ANNA
    for typed in ("anna", "@anna", " anna "):
        assert typed_target(typed) == Target(TargetKind.ACCOUNT, "anna")
    for typed in ("a" * 201, "a\0b", "a\ud800"):
        with pytest.raises(TargetError) as found:
            typed_target(typed)
        assert found.value.problem is TargetProblem.ID


def test_most_of_an_address_is_never_kept_as_a_user_name() -> None:
    for typed in ("anna@example", "anna @example.org", "@", "anna@"):
        with pytest.raises(TargetError) as found:
            typed_target(typed)
        assert found.value.problem is TargetProblem.CONTACT


def test_exactly_one_field_names_a_target() -> None:
    assert stated_target(account="a") == Target(TargetKind.ACCOUNT, "a")
    assert stated_target(person="p") == Target(TargetKind.PERSON, "p")
    assert stated_target(contact="Anna@example.org") == ANNA
    wrong: dict[TargetProblem, list[dict[str, str]]] = {
        TargetProblem.MISSING: [{}],
        TargetProblem.AMBIGUOUS: [{"account": "a", "person": "p"}, {"account": "a", "contact": ANNA.value}],
        TargetProblem.CONTACT: [{"contact": "anna"}, {"contact": ""}],
        TargetProblem.ID: [{"account": ""}, {"person": "p" * 201}, {"account": "a\nb"}],
    }
    for problem, stated in wrong.items():
        for fields in stated:
            with pytest.raises(TargetError) as found:
                stated_target(**fields)
            assert found.value.problem is problem
