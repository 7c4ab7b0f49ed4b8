"""HTML is read to its text in linear time, spans are carried through it, and what cannot be seen is no text."""

import time
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.deidentification.spans import Span
from db.deidentification.text import deidentify, is_blank, personal_placeholder
from db.deidentification.visible_text import read_visible_text
from tests.support.ordinary_cases import ordinary_every

READ = {
    "<p>One &amp; two</p><p>three</p>": "One & two\nthree",
    "<b>0170</b> <b>1234567</b>": "0170 1234567",
    '<a href="https://social.example/@jane" title="a > b">@<span>jane</span></a>, hi': "@jane, hi",
    "one<br>two<br><br>three": "one\ntwo\n\nthree",
    "  a \n b  ": "a b",
    "a<!-- b -->c<!-->d<!--->e<!---->f<!doctype html>g<?php h ?>i</ j>k": "acdefgik",
    "a<script>b<p></p></script >c<STYLE>d</style>e": "ace",
    "a<script/>b": "a",
    "a <b": "a",
    "a <!-- b": "a",
    "a<b title='b>c": "a",
    "I <3 you & 1 < 2": "I <3 you & 1 < 2",
    "<pre>a\n  b</pre> c": "a\n  b\nc",
    "<ul><li>a</li><li>b</li></ul><table><tr><td>c</td><td>d</td></tr></table>": "a\nb\nc d",
    "&#64;&#x40;&commat;&#064;": "@@@@",
    "&ampx &notit; &nosuch; &; &# &#x; &lt": "&x \xacit; &nosuch; &; &# &#x; <",
    "&#0; &#xD800; &#99999999999999999999;": "\ufffd \ufffd \ufffd",
    "&amp;#64;": "&#64;",
}
HOSTILE = [
    *("<", "</", "<a", "<a ", '<a b="', "<a b='", "<a =", "<!--", "<!-", "-->", "<!>", "<?", "=", '"'),
    *("a", "a  ", "& ", "&", "&a", "&#", "&#1", "&#x", "&#64;", "&amp;", "&nbs", f"&{'a' * 40} ", "x&"),
    *("<b>", "</b>", "<p>", "<br>", "<pre>", "<td> ", "<script", "<script>", "<script></script>", "<style></ style>"),
]


@pytest.mark.parametrize("html", READ)
def test_html_is_reduced_to_its_text(html: str) -> None:
    assert read_visible_text(html) == (READ[html], [])


@given(st.text())
def test_a_text_that_is_escaped_comes_back(text: str) -> None:
    assert read_visible_text(escape(text))[0].split() == text.replace("\0", "\0").split()


@pytest.mark.parametrize("unit", ordinary_every(4, HOSTILE))
def test_reading_html_takes_time_that_grows_with_its_length_only(unit: str) -> None:
    html = unit * ((1 << 20) // len(unit))
    started = time.thread_time()
    read_visible_text(html, [Span(0, len(html), "[PERSON]")])
    assert time.thread_time() - started < 3


def test_a_span_of_the_html_is_carried_to_the_text() -> None:
    html = '<p class="x">Hi <b>J&#97;ne</b>&nbsp;Doe</p><p>bye</p>'
    text, spans = read_visible_text(html, [Span(html.index(part), html.index(part) + len(part), part) for part in (
        "J&#97;ne</b>&nbsp;Doe", "J", "#9", "Doe</p><p>by", 'class="x"', "</p><p>", "<b>",
    )])  # fmt: skip
    assert {span.placeholder: text[span.start : span.end] for span in spans} == {
        "J&#97;ne</b>&nbsp;Doe": "Jane\xa0Doe",
        "J": "J",
        "#9": "a",
        "Doe</p><p>by": "Doe\nby",
    }


@given(st.text(alphabet="ab <>&;p/#6", max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_spans_stay_within_the_text(html: str, start: int, end: int) -> None:
    text, spans = read_visible_text(html, [Span(start, min(end, len(html)), "[PERSON]")])
    assert text == read_visible_text(html)[0]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


def test_a_text_of_white_space_and_invisible_characters_is_blank() -> None:
    for text in ("", " ", "\t\n\x85\xa0\u3000", "\u200b\ufeff\u2800\u3164\ufe0f", "\u00ad\U000e0020\u2066\ud800\u2028"):
        assert is_blank(text)
    for text in ("a", " \u0301", ".", "\u200ba", "\U0001f600", "\ue000"):
        assert not is_blank(text)


def test_personal_spans_are_replaced_with_what_overlaps_them() -> None:
    name = personal_placeholder("PERSON")
    for text, spans, replaced in (
        ("Jane Doe sat.", [(0, 8, name)], "[PERSON] sat."),
        ("Jane Doe sat.", [(0, 4, name), (2, 8, name), (8, 8, name)], "[PERSON] sat."),
        ("jane.doe@example.org!", [(0, 8, name)], "[EMAIL]!"),
        ("Jane Doe, 1 Weir Lane.", [(0, 8, name), (10, 21, "[ADDRESS]")], "[PERSON], [ADDRESS]."),
        ("Jane +49 170 1234567", [(0, 4, name)], "[PERSON] [PHONE]"),
        ("Jane\u200b Doe", [(0, 4, name)], "[PERSON]\u200b Doe"),
        ("Nothing.", [], "Nothing."),
    ):
        assert deidentify(text, [Span(*span) for span in spans]) == replaced
    assert personal_placeholder("JANE_DOE") == "[PERSONAL]"
