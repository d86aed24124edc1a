"""Words are kept whole and lines short, whatever the text and however it is cut into pieces."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len

from edgellm.cli.wrap import WordWrap

WORDS = st.text("abcdefé-.'(", min_size=1, max_size=9)
PROSE = st.lists(st.one_of(WORDS, st.sampled_from([" ", "  ", "\n", "\n\n", "世界", "🙂", "`x`"])), max_size=60).map(
    " ".join
)
ANYTHING = st.lists(
    st.one_of(WORDS, st.sampled_from([" ", "\t", "\n", "```", "````", "```py\n", "\n```\n", "世", "\u0301", "x" * 50])),
    max_size=60,
).map("".join)
WIDTHS = st.integers(20, 60)


def wrapped(text: str, width: int, piece: int = 1) -> str:
    wrap = WordWrap(width)
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]
    return "".join(map(wrap.feed, pieces)) + wrap.flush()


def inserted(before: str, after: str) -> list[int]:
    """Where in `before` newlines were put; fails if anything else was done to it."""
    places, at = [], 0
    for character in after:
        if at < len(before) and before[at] == character:
            at += 1
        else:
            assert character == "\n"
            places.append(at)
    assert at == len(before)
    return places


@given(st.one_of(PROSE, ANYTHING), WIDTHS, st.integers(1, 9))
def test_only_newlines_are_added_however_the_text_is_cut(text: str, width: int, piece: int) -> None:
    result = wrapped(text, width, piece)
    inserted(text, result)
    assert result == wrapped(text, width, len(text) or 1)


@given(PROSE, WIDTHS)
def test_every_line_fits_and_no_word_is_broken(text: str, width: int) -> None:
    result = wrapped(text, width)
    assert all(cell_len(line) <= width for line in result.split("\n"))
    for place in inserted(text, result):
        around = text[place - 1 : place + 1]
        assert " " in around or any(cell_len(character) == 2 for character in around)


@given(ANYTHING, WIDTHS)
def test_no_word_is_broken_that_a_line_could_hold_or_not(text: str, width: int) -> None:
    for place in inserted(text, wrapped(text, width)):
        around = text[place - 1 : place + 1]
        assert re.search(r"[ \t]", around) or "世" in around


@given(st.lists(WORDS, min_size=1, max_size=40), WIDTHS)
def test_a_line_ends_only_where_the_next_word_did_not_fit(words: list[str], width: int) -> None:
    lines = wrapped(" ".join(words), width).split("\n")
    for line, following in itertools.pairwise(lines):
        assert len(line) + len(following.split(" ")[0]) >= width


@given(ANYTHING, WIDTHS)
def test_code_stays_as_it_is(text: str, width: int) -> None:
    code = "```\n" + text.replace("`", "'").replace("\n", " ") + "\n```\n"
    assert wrapped(code, width) == code


def test_prose_after_code_is_wrapped_again() -> None:
    text = "````md\n```\nverbatim verbatim verbatim\n```\n````\nwords that are wrapped again"
    assert wrapped(text, 20) == text.replace("are wrapped", "are \nwrapped")


@pytest.mark.parametrize("text", ["x" * 100, "go https://example.com/" + "y" * 60 + " on"])
def test_a_word_that_no_line_holds_is_left_to_the_terminal(text: str) -> None:
    assert wrapped(text, 20) == text


def test_after_a_long_word_the_column_is_known() -> None:
    assert wrapped("x" * 30 + " tail afterwards", 20) == "x" * 30 + " tail \nafterwards"


def test_a_word_is_shown_once_it_is_complete() -> None:
    wrap = WordWrap(20)
    shown = [wrap.feed(piece) for piece in ("met", "ropo", "litan a", "rea", ".\n")]
    assert shown == ["", "", "metropolitan ", "", "area.\n"]
    assert wrap.feed("end") == ""
    assert wrap.flush() == "end"
    assert wrap.flush() == ""


def test_a_text_without_spaces_flows() -> None:
    assert WordWrap(20).feed("世界你好") == "世界你好"
