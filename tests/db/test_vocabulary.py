"""The words of the facts are those that the world uses."""

from db.policy.document import default_policy
from db.vocabulary import COUNTRIES


def test_countries_are_those_that_iso_3166_1_assigns() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in COUNTRIES)
    assert COUNTRIES.isdisjoint({"EL", "UK", "EU", "XX", "XK", "ZZ"})
    assert set(default_policy().regions) <= COUNTRIES
