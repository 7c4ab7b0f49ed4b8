"""How PostgreSQL reads a page: in the order of an index under every filter, with nothing sorted or hashed."""

from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import Any

import psycopg
import pytest

from db.delivery.availability import available_statement
from db.delivery.pages import MAX_ID, OFFERED, PERMITTED, Filter, PageForm, Sample, narrowing, page_statement
from tests.db.access.test_declaration import login

DIMENSIONS: dict[str, list[Any]] = {
    "kinds": ["POST", "PHOTO"],
    "products": ["FACEBOOK", "INSTAGRAM"],
    "languages": ["de", "fr"],
    "grounds": ["PUBLIC_CONTENT", "AI_INTERACTION"],
    "months": [date(2026, 1, 1), date(2026, 2, 1)],
    "regions": ["DE", "FR"],
}


def narrowed_by(names: tuple[str, ...], count: int) -> Filter:
    values: dict[str, Any] = {name: DIMENSIONS[name][:count] for name in names}
    return replace(Filter(), **values)


FILTERS = {
    f"{', '.join(names) or 'nothing'} ({count})": narrowed_by(names, count)
    for size in range(len(DIMENSIONS) + 1)
    for names in combinations(DIMENSIONS, size)
    for count in ((1, 2, 0) if names else (0,))
}
WASTE = ("Sort", "Hash", "Seq Scan", "Bitmap", "Materialize", "Merge Join", "Gather", "Disabled: true")


def plan(connection: "psycopg.Connection[tuple[str, ...]]", narrowed: Filter, view: str = PERMITTED) -> list[str]:
    """Explain the page statement as it runs: prepared, by the training role, with a plan for any values."""
    used, values = narrowing(narrowed)
    connection.execute(f"PREPARE page AS {page_statement(used, PageForm(view))}".encode())
    given = ["'1'", "'GENAI_TRAINING'", "0", "100", str(MAX_ID), *(_literal(value) for value in values)]
    rows = connection.execute(f"EXPLAIN (COSTS OFF) EXECUTE page({', '.join(given)})".encode()).fetchall()
    connection.execute("DEALLOCATE page")
    return [line for (line,) in rows]


def plan_of_availability(connection: "psycopg.Connection[tuple[str, ...]]", narrowed: Filter) -> list[str]:
    """Explain the statement of a page in the order of availability."""
    used, values = narrowing(narrowed)
    connection.execute(f"PREPARE page AS {available_statement(used)}".encode())
    given = ["'1'", "'GENAI_TRAINING'", "0", "100", str(MAX_ID), "'{}'", *(_literal(value) for value in values)]
    rows = connection.execute(f"EXPLAIN (COSTS OFF) EXECUTE page({', '.join(given)})".encode()).fetchall()
    connection.execute("DEALLOCATE page")
    return [line for (line,) in rows]


def wasteful(lines: list[str]) -> list[str]:
    """Return the steps of a plan that read or sort more than a page: all but those of the one row per purpose."""
    small = {n + step for n, line in enumerate(lines) if "Seq Scan on campaign_told" in line for step in (0, 1)}
    return [
        line.strip()
        for n, line in enumerate(lines)
        if n not in small and "Sort Key" not in line and any(node in line for node in WASTE)
    ]


def _literal(value: object) -> str:
    if isinstance(value, list):
        return "'{" + ", ".join(map(str, value)) + "}'"
    return "NULL" if value is None else f"'{value}'"


COMPARED = {
    "from a month": Filter(from_month=date(2026, 1, 1)),
    "until a month": Filter(until_month=date(2026, 1, 31), kinds=["POST"]),
    "media types": Filter(media_types=["image/jpeg"]),
    "a sample": Filter(sample=Sample(7, 0.1), languages=["de-at"]),
    "any language": Filter(languages=["*"]),
    "a dialect": Filter(languages=["de-at"]),
    "months between": Filter(from_month=date(2026, 1, 1), until_month=date(2026, 3, 1)),
    "many languages": Filter(languages=[f"x{letter}" for letter in "abcdefgh"], regions=["DE", "FR"]),
}


@pytest.mark.ci
def test_a_page_is_read_in_the_order_of_an_index_under_every_filter(database_url: str) -> None:
    assert len(FILTERS) > 180
    with login(database_url, "grounds_training") as connection:
        for name, narrowed in (FILTERS | COMPARED).items():
            lines = plan(connection, narrowed)
            assert not wasteful(lines), name
            assert any("using content_page" in line for line in lines), name


def test_a_page_in_the_order_of_availability_walks_along_positions(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        for name, narrowed in [*COMPARED.items(), *list(FILTERS.items())[:20]]:
            lines = plan_of_availability(connection, narrowed)
            found = [line for line in wasteful(lines) if not line.endswith("Sort")]
            assert not [line for line in found if "Disabled" not in line], (name, found)
            walks = [line for line in lines if "availability_pkey" in line]
            assert len(walks) == 2, (name, lines)
            # What is found is sorted for its window and for its receipt; the walks themselves are not.
            assert sum(line.strip().endswith("Sort") for line in lines) == 2, (name, lines)


def test_a_page_of_offers_is_read_in_the_order_of_an_index_too(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        for name, narrowed in [*COMPARED.items(), *list(FILTERS.items())[:20]]:
            lines = plan(connection, narrowed, OFFERED)
            assert not wasteful(lines), (name, wasteful(lines))
            assert any("on offer o" in line for line in lines), name


@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        (Filter(), "content_page"),
        (Filter(kinds=["POST"]), "content_page_kind"),
        (Filter(products=["FACEBOOK"]), "content_page_product"),
        (Filter(languages=["de"]), "content_page_language"),
        (Filter(months=[date(2026, 1, 1)]), "content_page_month"),
        (Filter(regions=["DE"]), "content_page_country"),
    ],
)
def test_one_value_has_an_index_of_its_own(database_url: str, narrowed: Filter, index: str) -> None:
    with login(database_url, "grounds_training") as connection:
        lines = plan(connection, narrowed)
    place = next((at for at, line in enumerate(lines) if f"Index Scan using {index} on content c" in line), None)
    assert place is not None, lines
    named = next(line for line in lines[place:] if "Index Cond" in line)
    assert all(column in named for column, values in vars_of(narrowed).items()), named


def test_several_values_are_merged_from_an_index_of_their_own(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        lines = plan(connection, Filter(languages=["de", "fr", "it"]))
    assert any("Merge Append" in line for line in lines), lines
    assert sum("Index Scan using content_page_language on content c" in line for line in lines) == 3, lines


def vars_of(narrowed: Filter) -> dict[str, object]:
    columns = {"kinds": "kind", "products": "product", "languages": "language_base", "months": "created_month"}
    columns |= {"regions": "country"}
    return {column: getattr(narrowed, name) for name, column in columns.items() if getattr(narrowed, name)}


def test_a_plan_that_sorts_is_noticed(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        connection.execute("SET enable_sort = on")
        connection.execute("SET enable_indexscan = off")
        lines = plan(connection, Filter())
    assert any(node in line for line in lines for node in WASTE)


def explain_notice_count(connection: "psycopg.Connection[tuple[str, ...]]") -> list[str]:
    """Explain the count of notices under the settings that its function has."""
    ((settings, source),) = connection.execute(
        "SELECT array_to_string(proconfig, ';'), prosrc FROM pg_proc WHERE proname = 'count_notices'"
    ).fetchall()
    for setting in settings.split(";"):
        name, _, value = setting.partition("=")
        connection.execute("SELECT set_config(%s, %s, TRUE)", (name, value))
    statement = source[source.index("WITH epochs") :].rstrip().removesuffix(";")
    return [line for (line,) in connection.execute(f"EXPLAIN (COSTS OFF) {statement}".encode()).fetchall()]


@pytest.mark.parametrize("merged", [False, True], ids=["as declared", "a merge allowed"])
def test_notices_are_counted_by_a_hash_of_accounts(database_url: str, merged: bool) -> None:
    with psycopg.connect(database_url) as connection:
        if merged:  # by epoch alone, which all accounts share: measured, 6 s became hours
            connection.execute("ALTER FUNCTION grounds.count_notices() SET enable_mergejoin = on")
            connection.execute("ALTER FUNCTION grounds.count_notices() SET enable_hashjoin = off")
        lines = explain_notice_count(connection)
        assert any("Hash Cond" in line and "b.account" in line for line in lines) is not merged, lines


def test_a_dialect_is_compared_in_the_index(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        lines = plan(connection, Filter(languages=["de-AT"]))
    assert any("Index Scan using content_page_language" in line for line in lines), lines
    (compared,) = [line for line in lines if "Index Cond" in line and "language_base" in line]
    assert "language_key >=" in compared, compared
    assert "language_key <" in compared, compared
