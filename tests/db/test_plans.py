"""How PostgreSQL reads a page: in the order of an index under every filter, with nothing sorted or hashed."""

from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import Any

import psycopg
import pytest

from db.delivery import Filter, narrowing, page_statement
from tests.db.test_access import login

DIMENSIONS: dict[str, list[Any]] = {
    "kinds": ["POST", "PHOTO"],
    "products": ["FACEBOOK", "INSTAGRAM"],
    "languages": ["de", "fr"],
    "grounds": ["PUBLIC_CONTENT", "AI_INTERACTION"],
    "months": [date(2026, 1, 1), date(2026, 2, 1)],
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


def plan(connection: "psycopg.Connection[tuple[str, ...]]", narrowed: Filter) -> list[str]:
    """Explain the page statement as it runs: prepared, by the training role, with a plan for any values."""
    used, values = narrowing(narrowed)
    connection.execute(f"PREPARE page AS {page_statement(used)}".encode())
    given = ["'1'", "'GENAI_TRAINING'", "0", "100", *(_literal(value) for value in values)]
    rows = connection.execute(f"EXPLAIN (COSTS OFF) EXECUTE page({', '.join(given)})".encode()).fetchall()
    connection.execute("DEALLOCATE page")
    return [line for (line,) in rows]


def _literal(value: object) -> str:
    if isinstance(value, list):
        return "'{" + ", ".join(map(str, value)) + "}'"
    return "NULL" if value is None else f"'{value}'"


def test_a_page_is_read_in_the_order_of_an_index_under_every_filter(database_url: str) -> None:
    assert len(FILTERS) > 90
    with login(database_url, "grounds_training") as connection:
        for name, narrowed in FILTERS.items():
            lines = plan(connection, narrowed)
            waste = [line.strip() for line in lines if "Sort Key" not in line and any(node in line for node in WASTE)]
            assert not waste, f"{name}: {waste}"
            assert any("using content_page" in line for line in lines), name


@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        (Filter(), "content_page"),
        (Filter(kinds=["POST"]), "content_page_kind"),
        (Filter(products=["FACEBOOK"]), "content_page_product"),
        (Filter(languages=["de"]), "content_page_language"),
        (Filter(months=[date(2026, 1, 1)]), "content_page_month"),
    ],
)
def test_one_value_has_an_index_of_its_own(database_url: str, narrowed: Filter, index: str) -> None:
    with login(database_url, "grounds_training") as connection:
        lines = plan(connection, narrowed)
    assert any(f"Index Scan using {index} on content c" in line for line in lines), lines
    named = next(line for line in lines if "Index Cond" in line and "id > " in line)
    assert all(column in named for column, values in vars_of(narrowed).items()), named


def test_several_values_are_merged_from_an_index_of_their_own(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        lines = plan(connection, Filter(languages=["de", "fr", "it"]))
    assert any("Merge Append" in line for line in lines), lines
    assert sum("Index Scan using content_page_language on content c" in line for line in lines) == 3, lines


def vars_of(narrowed: Filter) -> dict[str, object]:
    columns = {"kinds": "kind", "products": "product", "languages": "language", "months": "created_month"}
    return {column: getattr(narrowed, name) for name, column in columns.items() if getattr(narrowed, name)}


def test_a_plan_that_sorts_is_noticed(database_url: str) -> None:
    with login(database_url, "grounds_training") as connection:
        connection.execute("SET enable_sort = on")
        connection.execute("SET enable_indexscan = off")
        lines = plan(connection, Filter())
    assert any(node in line for line in lines for node in WASTE)


def told(connection: "psycopg.Connection[tuple[str, ...]]") -> list[str]:
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
        lines = told(connection)
        assert any("Hash Cond" in line and "b.account" in line for line in lines) is not merged, lines
