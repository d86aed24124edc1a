"""FreshCalls: calls go out as they come, copies of earlier ones never."""

from __future__ import annotations

from hypothesis import given, strategies as st

from edgellm.chat.fresh_calls import FreshCalls
from edgellm.chat.tools.parser import CallArguments, CallEnd, CallStart, Content, Piece, Thought


def pieces(calls: list[tuple[str, str]]) -> list[Piece]:
    """Each call's arguments character by character."""
    return [
        piece
        for name, arguments in calls
        for piece in (CallStart(name), *(CallArguments(character) for character in arguments), CallEnd())
    ]


def told(out: list[Piece]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for piece in out:
        if isinstance(piece, CallStart):
            found.append((piece.name, ""))
        if isinstance(piece, CallArguments):
            found[-1] = (found[-1][0], found[-1][1] + piece.text)
    return found


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text("12", max_size=3)), max_size=6))
def test_all_calls_up_to_the_first_copy(calls: list[tuple[str, str]]) -> None:
    fresh = FreshCalls()
    out = [piece for each in pieces(calls) for piece in fresh.fresh([each])]
    first = next((i for i, call in enumerate(calls) if call in calls[:i]), len(calls))
    assert told(out) == calls[:first]
    assert fresh.repeated == (first < len(calls))


def test_the_first_call_is_not_held_back() -> None:
    assert FreshCalls().fresh([CallStart("a")]) == [CallStart("a")]


def test_a_call_goes_out_as_soon_as_it_differs() -> None:
    fresh = FreshCalls()
    fresh.fresh(pieces([("a", "12")]))
    assert fresh.fresh([CallStart("a"), CallArguments("1")]) == []
    assert fresh.fresh([CallArguments("3")]) == [CallStart("a"), CallArguments("1"), CallArguments("3")]


def test_thoughts_stay_and_content_goes() -> None:
    assert FreshCalls().fresh([Thought("hm"), Content("<tool_")]) == [Thought("hm")]
