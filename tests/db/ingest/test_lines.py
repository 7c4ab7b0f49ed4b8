"""Lines out of a stream, however it is cut, in little memory."""

import tracemalloc
from collections.abc import AsyncIterator
from random import Random

import pytest

from db.ingest.records import LINE_LIMIT, Line
from db.ingest.staging import CHUNK_BYTES, split_lines, whole_lines

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


async def split(stream: bytes, *cuts: int, chunk_bytes: int = CHUNK_BYTES) -> list[Line]:
    async def blocks() -> AsyncIterator[bytes]:
        ends = [*sorted(cuts), len(stream)]
        for start, end in zip([0, *ends], ends, strict=False):
            yield stream[start:end]

    return [line async for chunk, first in whole_lines(blocks(), chunk_bytes) for line in split_lines(chunk, first)]


@pytest.mark.parametrize(("stream", "lines"), STREAMS)
async def test_a_stream_gives_its_lines_with_their_numbers_wherever_it_is_cut(
    stream: bytes, lines: list[tuple[int, bytes]]
) -> None:
    expected = [Line(number, data) for number, data in lines]
    assert await split(stream) == expected
    for chunk_bytes in (6, CHUNK_BYTES):  # what is longer than two chunks is shortened
        for cut in range(len(stream)):
            assert await split(stream, cut, chunk_bytes=chunk_bytes) == expected
        assert await split(stream, *range(len(stream)), chunk_bytes=chunk_bytes) == expected


async def test_random_streams_cut_at_random_give_the_same_lines() -> None:
    random = Random(7)
    for _ in range(300):
        stream = bytes(random.choices(b"ab \n\r", k=random.randrange(80)))
        cuts = random.choices(range(len(stream) + 1), k=5)
        lines = [(number, data) for number, data in enumerate(stream.split(b"\n"), 1) if data.strip()]
        longest = max((len(data) for _, data in lines), default=1)
        found = await split(stream, *cuts, chunk_bytes=longest)
        assert [(line.number, line.data) for line in found] == lines


def test_numbers_go_on_from_where_a_block_begins() -> None:
    assert [line.number for line in split_lines(b"a\n\nb\n", 41)] == [41, 43]


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 5 * LINE_LIMIT])
async def test_a_line_is_kept_up_to_its_limit_and_marked_beyond_it(extra: int) -> None:
    long = b"x" * (LINE_LIMIT + extra)
    for cuts in ((), (1,), (LINE_LIMIT,), (LINE_LIMIT + 1,), tuple(range(0, len(long), 300_000))):
        first, second = await split(long + b"\nnext", *cuts)
        assert (first.number, len(first.data), first.too_long) == (1, min(len(long), LINE_LIMIT), extra > 0)
        assert (second.number, second.data, second.too_long) == (2, b"next", False)
    (last,) = await split(long)
    assert last.too_long is (extra > 0)


async def test_a_line_without_end_takes_little_memory() -> None:
    async def blocks() -> AsyncIterator[bytes]:
        block = b"x" * 65536
        for _ in range(2000):
            yield block

    tracemalloc.start()
    lines = [line async for chunk, first in whole_lines(blocks()) for line in split_lines(chunk, first)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * CHUNK_BYTES
    assert [(line.number, len(line.data), line.too_long) for line in lines] == [(1, LINE_LIMIT, True)]


async def test_a_blank_line_beyond_the_limit_is_blank_no_more() -> None:
    assert [line.too_long for line in await split(b" " * (LINE_LIMIT + 1) + b"x\n")] == [True]
