"""Files that were joined in any way say what their records say one a line: nothing is lost, and nothing is added."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from db.ingest import staging
from db.ingest.staging import split_lines, stage_chunk
from db.vocabulary import PLATFORM_PRODUCTS
from tests.support.facts import NOW, fact

MARK = "\ufeff"
GLUES = ("\n", "", " ", "\t", "\r", "\r\n", "\n\n", MARK, f"\n{MARK}", f"\r\n{MARK}", " \n ")
RECORDS: tuple[dict[str, Any], ...] = (
    fact("objection", account="author"),
    fact("objection", id="by text", account="author", scope="AI_INTERACTIONS"),
    fact("content", 3, deleted_at="2026-01-02T00:00:00Z"),
    fact("content", id="braces", text='a "}{" of JSON \\'),
    fact("account", 3, born_on="2012-05-27"),
    fact("objection", id="bad", account="author", scope="SOME"),
    fact("consent", withdrawn_at="2026-01-01T00:00:00Z"),
)


def state(text: str) -> list[Any]:
    """Return everything that lines come to, in order, but for the number of each line."""
    chunk = stage_chunk(split_lines(text.encode()), PLATFORM_PRODUCTS, NOW)
    rows = [(name, row[1:]) for stages in chunk.rounds for name, rows in sorted(stages.items()) for row in rows]
    return [rows, [(each.record, each.id, each.faults) for each in chunk.rejected]]


glued = st.lists(st.tuples(st.sampled_from(RECORDS), st.sampled_from(GLUES)), min_size=1, max_size=12)


@given(glued, st.booleans())
def test_any_cut_between_records_and_any_glue_gives_the_same_state(
    parts: list[tuple[dict[str, Any], str]], is_marked: bool
) -> None:
    lines = [json.dumps(record) for record, _ in parts]
    joined = "".join(line + glue for line, (_, glue) in zip(lines, parts, strict=True))
    assert state((MARK if is_marked else "") + joined) == state("\n".join(lines))


def test_a_reader_of_one_value_a_line_would_be_noticed() -> None:
    lines = [json.dumps(record) for record in RECORDS[:2]]
    only_first = [state(line)[0] for line in lines[:1]]
    assert state("".join(lines))[0] != only_first[0]
    assert len(staging.values_of(next(split_lines("".join(lines).encode())))) == 2
