"""StopStrings: the same result for a text cut into pieces as for the text at once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.stop import StopStrings
from edgellm.errors import RequestError


def stream(stops: list[str], chunks: list[str]) -> tuple[str, str | None]:
    matcher = StopStrings(stops)
    out = ""
    for chunk in chunks:
        safe, stop = matcher.push(chunk)
        out += safe
        if stop is not None:
            return out, stop
    safe, stop = matcher.flush()
    return out + safe, stop


def at_once(stops: list[str], text: str) -> tuple[str, str | None]:
    found = [(text.index(stop), i) for i, stop in enumerate(stops) if stop in text]
    if not found:
        return text, None
    start, i = min(found)
    return text[:start], stops[i]


def test_what_could_begin_a_stop_is_held_back_and_no_more() -> None:
    matcher = StopStrings(["\nUser:"])
    assert matcher.push("Hello\nUs") == ("Hello", None)
    assert matcher.push("ually") == ("\nUsually", None)
    assert matcher.push(" yes\n") == (" yes", None)
    assert matcher.push("User: more") == ("", "\nUser:")


def test_after_a_match_nothing_comes_out_and_the_match_is_told_again() -> None:
    matcher = StopStrings(["x"])
    assert matcher.push("axb") == ("a", "x")
    assert matcher.push("cxd") == ("", "x")
    assert matcher.flush() == ("", "x")


def test_without_stops_everything_passes_at_once() -> None:
    matcher = StopStrings([])
    assert matcher.push("any") == ("any", None)
    assert matcher.flush() == ("", None)


def test_what_was_held_at_the_end_is_given_out() -> None:
    matcher = StopStrings(["###"])
    assert matcher.push("a##") == ("a", None)
    assert matcher.flush() == ("##", None)


def test_a_match_waits_for_one_that_starts_earlier() -> None:
    matcher = StopStrings(["bc", "abcd"])
    assert matcher.push("xabc") == ("x", None)
    assert matcher.push("d") == ("", "abcd")


def test_a_match_that_waited_in_vain_still_counts() -> None:
    assert stream(["bc", "abcd"], ["xabc", "e"]) == ("xa", "bc")
    assert stream(["bc", "abcd"], ["xabc"]) == ("xa", "bc")


def test_of_two_that_start_together_the_first_in_the_list_wins() -> None:
    assert stream(["ab", "abc"], ["abc"]) == ("", "ab")
    assert stream(["abc", "ab"], ["a", "b", "c"]) == ("", "abc")
    assert stream(["abc", "ab"], ["a", "b", "x"]) == ("", "ab")


def test_a_stop_that_repeats_its_own_beginning_is_found_after_a_false_start() -> None:
    assert stream(["aab"], list("aaab")) == ("a", "aab")


def test_characters_that_mean_something_to_regular_expressions_are_plain() -> None:
    assert stream([".*", "(", "\\"], ["abc", ".", "*"]) == ("abc", ".*")


@pytest.mark.parametrize("stops", [[""], ["a", ""]])
def test_an_empty_stop_is_refused(stops: list[str]) -> None:
    with pytest.raises(RequestError, match="empty"):
        StopStrings(stops)


def test_all_short_texts_over_two_letters_with_all_pairs_of_short_stops() -> None:
    words = ["".join(letters) for n in (1, 2, 3) for letters in itertools.product("ab", repeat=n)]
    texts = ["".join(letters) for letters in itertools.product("ab", repeat=5)]
    for pair in itertools.product(words, repeat=2):
        for text in texts:
            assert stream(list(pair), list(text)) == at_once(list(pair), text), (pair, text)


letters = st.sampled_from("ab\n😀")
stop_lists = st.lists(st.text(letters, min_size=1, max_size=5), max_size=4)


@given(stop_lists, st.lists(st.text(letters, max_size=6)))
def test_any_chunking_equals_cutting_the_whole_text(stops: list[str], chunks: list[str]) -> None:
    assert stream(stops, chunks) == at_once(stops, "".join(chunks))


@given(stop_lists, st.text(letters))
def test_never_more_is_held_than_the_longest_stop_less_one(stops: list[str], text: str) -> None:
    matcher = StopStrings(stops)
    fed = out = 0
    for character in text:
        safe, stop = matcher.push(character)
        fed, out = fed + 1, out + len(safe)
        if stop is not None:
            break
        assert fed - out <= max(map(len, stops), default=1) - 1
