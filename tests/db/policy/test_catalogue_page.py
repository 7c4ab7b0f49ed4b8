"""The page of conditions is what the catalogue says."""

from db.policy.catalogue_page import PAGE, catalogue_page


def test_the_committed_page_is_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue_page(), "run: python -m db.policy.catalogue_page"
