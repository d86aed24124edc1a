"""Bars and tables of text."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.cli.benchmark.plot import bar, can_show_blocks, table


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(1, 100), st.booleans())
def test_a_bar_keeps_to_its_width_and_shows_anything_above_nothing(
    value: float, most: float, width: int, blocks: bool
) -> None:
    drawn = bar(value, most, width, blocks=blocks)
    assert len(drawn) <= width
    assert bool(drawn) == (value > 0 and most > 0)


def test_a_bar_is_as_long_as_its_part() -> None:
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(1, 10, 4) == "▍"
    assert bar(5, 10, 4, blocks=False) == "##"


def test_numbers_lean_right_names_and_bars_left() -> None:
    assert table(("name", "n", ""), [("a", "1", "###"), ("longer", "100", "#")]) == [
        "name      n",
        "a         1  ###",
        "longer  100  #",
    ]


def test_which_outputs_can_show_blocks() -> None:
    assert can_show_blocks("utf-8")
    assert not can_show_blocks("ascii") and not can_show_blocks(None) and not can_show_blocks("no-such-encoding")
