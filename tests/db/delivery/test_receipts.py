"""A receipt holds its items as an array or a bitset, and who received what is found in either, at once and later."""

import random
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.database


@pytest.fixture
def owner(database_url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection with what the functions ask for."""
    connection = psycopg.connect(database_url)
    connection.execute(
        "SELECT set_config('grounds.client', '1', FALSE), set_config('grounds.purpose', 'GENAI_TRAINING', FALSE),"
        " set_config('grounds.job', 'a test', FALSE)"
    )
    yield connection
    connection.close()


def fetch_value(connection: "psycopg.Connection[Any]", statement: str, *values: object) -> Any:
    row = connection.execute(statement.encode(), values).fetchone()
    return row and row[0]


def write_receipt(connection: "psycopg.Connection[Any]", items: list[int]) -> int:
    number: int = fetch_value(connection, "SELECT receipt FROM grounds.write_receipt(%s)", items)
    return number


def test_the_smaller_form_is_kept_and_says_the_same(owner: "psycopg.Connection[Any]") -> None:
    chance = random.Random(5)
    forms = set()
    for turn in range(150):
        span = chance.choice((1, 8, 63, 64, 65, 1000, 70_000))
        count = min(span, chance.choice((1, 2, 100, 1000)))
        begin = chance.choice((1, 7, 2**40))
        items = sorted(begin + place for place in chance.sample(range(span), count))
        number = write_receipt(owner, items)
        form, kept, total = owner.execute(
            "SELECT CASE WHEN items IS NULL THEN 'bits' ELSE 'array' END, ARRAY(SELECT grounds.items_of(d)), item_count"
            " FROM grounds.delivery d WHERE id = %s",
            [number],
        ).fetchone() or (None, None, None)
        assert (kept, total) == (items, len(items)), turn
        assert form == ("bits" if (items[-1] - items[0]) // 64 < len(items) else "array"), turn
        probes = [*chance.sample(items, min(5, count)), begin - 1, begin + span, begin + span // 2]
        for probe in probes:
            held = fetch_value(
                owner, "SELECT grounds.has_item(d, %s) FROM grounds.delivery d WHERE id = %s", probe, number
            )
            assert held == (probe in items), (turn, probe)
        forms.add(form)
    assert forms == {"bits", "array"}


def test_an_empty_page_has_no_receipt(owner: "psycopg.Connection[Any]") -> None:
    assert fetch_value(owner, "SELECT receipt FROM grounds.write_receipt('{}')") is None
    assert fetch_value(owner, "SELECT receipt FROM grounds.write_receipt(NULL)") is None
    assert fetch_value(owner, "SELECT count(*) FROM grounds.delivery") == 0


def recipients(connection: "psycopg.Connection[Any]", items: list[int]) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT * FROM grounds.recipients_of(%s) ORDER BY item, client", [items]).fetchall()


def test_who_received_what_is_the_same_before_and_after_it_is_recorded(owner: "psycopg.Connection[Any]") -> None:
    for items in ([1, 2, 3], [2, 3000], list(range(1, 200)), [3]):
        write_receipt(owner, items)
    wanted = [2, 3, 3000, 9999]
    expected = [
        (2, 1, "GENAI_TRAINING", 1, 3, 3),
        (3, 1, "GENAI_TRAINING", 1, 4, 3),
        (3000, 1, "GENAI_TRAINING", 2, 2, 1),
    ]
    assert recipients(owner, wanted) == expected
    owner.commit()
    taken = [fetch_value(owner, "SELECT grounds.record_deliveries(3)") for _ in range(3)]
    assert (taken, recipients(owner, wanted)) == ([3, 1, 0], expected)
    owner.commit()
    write_receipt(owner, [3000])
    assert recipients(owner, [3000]) == [(3000, 1, "GENAI_TRAINING", 2, 5, 2)]


def test_a_hundred_items_are_looked_up_among_large_receipts_in_milliseconds(owner: "psycopg.Connection[Any]") -> None:
    owner.execute(
        "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, lowest, highest, item_count, item_bits)"
        " SELECT 1, 'GENAI_TRAINING', 'p', now(), 1, 800000, 250000, decode(repeat('49', 100000), 'hex')"
        " FROM generate_series(1, 4)"
    )
    wanted = list(range(1, 800_000, 8_000))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        found = recipients(owner, wanted)
        seconds.append(time.perf_counter() - began)
    assert found
    assert sorted(seconds)[2] < 0.1  # 10 ms on a machine that does nothing else


@pytest.mark.long
def test_the_deliveries_of_a_hundred_items_delivered_ten_thousand_times_are_read_at_once(
    owner: "psycopg.Connection[Any]", capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(100):
        for _ in range(100):
            write_receipt(owner, list(range(1, 101)))
        owner.commit()
    while fetch_value(owner, "SELECT grounds.record_deliveries(200)"):
        owner.commit()
    began = time.perf_counter()
    found = recipients(owner, list(range(1, 101)))
    seconds = time.perf_counter() - began
    assert (len(found), {row[-1] for row in found}) == (100, {10_000})
    with capsys.disabled():
        print(f"\nrecipients of 100 items, 10,000 deliveries each: {seconds * 1e3:.1f} ms")
    assert seconds < 0.5
