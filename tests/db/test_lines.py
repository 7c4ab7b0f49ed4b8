"""Lines out of a stream, however it is cut, in little memory."""

import tracemalloc
from random import Random

import pytest

from db.lines import LINE_LIMIT, Line, LineSplitter

STREAMS = [
    (b"", []),
    (b"\n", []),
    (b"a", [(1, b"a")]),
    (b"a\n", [(1, b"a")]),
    (b"a\nb", [(1, b"a"), (2, b"b")]),
    (b"a\n\nb\n", [(1, b"a"), (3, b"b")]),
    (b" \n\t\r\n\x0c\nb", [(4, b"b")]),
    (b"a\r\nb\r\n", [(1, b"a\r"), (2, b"b\r")]),
    (b"a\rb\x0bc\xe2\x80\xa8d\n", [(1, b"a\rb\x0bc\xe2\x80\xa8d")]),  # what Python's own splitlines would cut
    (b"\x00\n\xff\n", [(1, b"\x00"), (2, b"\xff")]),
]


def split(stream: bytes, *cuts: int, first: int = 1) -> list[Line]:
    splitter = LineSplitter(first)
    ends = [*sorted(cuts), len(stream)]
    lines = [line for start, end in zip([0, *ends], ends, strict=False) for line in splitter.feed(stream[start:end])]
    return lines + list(splitter.close())


@pytest.mark.parametrize(("stream", "lines"), STREAMS)
def test_a_stream_gives_its_lines_with_their_numbers_wherever_it_is_cut(
    stream: bytes, lines: list[tuple[int, bytes]]
) -> None:
    expected = [Line(number, data) for number, data in lines]
    assert split(stream) == expected
    for cut in range(len(stream)):
        assert split(stream, cut) == expected
    assert split(stream, *range(len(stream))) == expected


def test_random_streams_cut_at_random_give_the_same_lines() -> None:
    random = Random(7)
    for _ in range(300):
        stream = bytes(random.choices(b"ab \n\r", k=random.randrange(80)))
        cuts = random.choices(range(len(stream) + 1), k=5)
        lines = [(number, data) for number, data in enumerate(stream.split(b"\n"), 1) if data.strip()]
        assert [(line.number, line.data) for line in split(stream, *cuts)] == lines


def test_numbers_go_on_from_where_a_block_begins() -> None:
    assert [line.number for line in split(b"a\n\nb\n", first=41)] == [41, 43]


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 5 * LINE_LIMIT])
def test_a_line_is_kept_up_to_its_limit_and_marked_beyond_it(extra: int) -> None:
    long = b"x" * (LINE_LIMIT + extra)
    for cuts in ((), (1,), (LINE_LIMIT,), (LINE_LIMIT + 1,), tuple(range(0, len(long), 300_000))):
        first, second = split(long + b"\nnext", *cuts)
        assert (first.number, len(first.data), first.too_long) == (1, min(len(long), LINE_LIMIT), extra > 0)
        assert (second.number, second.data, second.too_long) == (2, b"next", False)
    (last,) = split(long)
    assert last.too_long is (extra > 0)


def test_a_line_without_end_takes_little_memory() -> None:
    splitter = LineSplitter()
    block = b"x" * 65536
    tracemalloc.start()
    for _ in range(2000):
        assert list(splitter.feed(block)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LINE_LIMIT
    (line,) = splitter.close()
    assert (line.number, len(line.data), line.too_long) == (1, LINE_LIMIT, True)


def test_a_blank_line_beyond_the_limit_is_blank_no_more() -> None:
    assert [line.too_long for line in split(b" " * (LINE_LIMIT + 1) + b"x\n")] == [True]
