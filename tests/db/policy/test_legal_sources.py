"""The page for lawyers has every legal source of the catalogue, of notices and of pages."""

import re
from collections import defaultdict

from db.policy.conditions import CONDITIONS
from db.policy.grounds import GROUNDS
from tests.support.repository import ROOT

PAGE = ROOT / ".github" / "decisions" / "0009-legal-sources.md"


def test_the_page_has_every_source_with_its_conditions() -> None:
    rows = re.findall(r"^\| (.+?) \| ([A-Z_, ]+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    wanted: dict[str, set[str]] = defaultdict(set)
    for condition in CONDITIONS:
        wanted[condition.source].add(condition.code)
    assert {source: set(codes.split(", ")) for source, codes, _ in rows} == wanted


def test_the_page_has_every_article_that_notices_pages_and_grounds_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sources = [ground.basis for ground in GROUNDS.values()]
    for folder in ("app", "schema", "db"):
        files = [file for file in (ROOT / folder).rglob("*") if file.suffix in (".txt", ".html", ".json", ".py")]
        sources += [file.read_text(encoding="utf-8") for file in files]
    named = {name for source in sources for name in re.findall(r"Article \d+(?:\(\w+\))*", source)}
    assert {"Article 6(1)(f)", "Article 21", "Article 6(1)(a)"} <= named
    assert [name for name in sorted(named) if name not in page] == []
