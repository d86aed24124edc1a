"""AnswerStream: text, stop strings and log-probabilities of one choice, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.answer import AnswerStream
from edgellm.errors import RequestError
from edgellm.events import Event, Text


def run(pieces: list[bytes], stops: list[str] | None = None, scored: bool = False) -> tuple[list[Text], str | None]:
    stream = AnswerStream(pieces.__getitem__, stops or [], choice=3)
    events: list[Event] = []
    for token in range(len(pieces)):
        events += stream.push(token, (-float(token), ()) if scored else None)
    events += stream.finish()
    assert all(isinstance(event, Text) for event in events)
    return [event for event in events if isinstance(event, Text)], stream.stopped


def joined(events: list[Text]) -> str:
    return "".join(event.text for event in events)


def scored_tokens(events: list[Text]) -> list[int]:
    return [entry.token for event in events for entry in event.logprobs]


def test_each_token_with_text_gives_one_event_of_its_choice() -> None:
    assert run([b"Hel", b"lo"]) == ([Text("Hel", 3), Text("lo", 3)], None)


def test_no_event_before_a_character_is_whole() -> None:
    events, _ = run([b"\xf0\x9f", b"\x98", b"\x80"])
    assert [event.text for event in events] == ["😀"]


def test_a_token_without_text_gives_no_event() -> None:
    assert run([b"", b"a", b""])[0] == [Text("a", 3)]


def test_a_stop_string_across_tokens_ends_the_text_before_it() -> None:
    events, stopped = run([b"one\n", b"\n", b"two"], ["\n\n"])
    assert joined(events) == "one"
    assert stopped == "\n\n"


def test_stopped_is_set_by_the_token_that_completes_the_stop_and_all_after_is_dropped() -> None:
    stream = AnswerStream([b"a", b"ST", b"OP!", b"b"].__getitem__, ["STOP"])
    assert stream.push(0) == [Text("a")]
    assert stream.push(1) == []
    assert stream.stopped is None
    assert stream.push(2) == []
    assert stream.stopped == "STOP"
    assert stream.push(3) == []
    assert stream.finish() == []


def test_finish_gives_what_was_held_back() -> None:
    assert joined(run([b"a ST"], ["STOP"])[0]) == "a ST"
    assert joined(run([b"a\xe2\x82"])[0]) == "a\ufffd"


def test_finish_may_find_the_stop_that_waited_for_a_longer_one() -> None:
    events, stopped = run([b"xabc"], ["bc", "abcd"])
    assert (joined(events), stopped) == ("xa", "bc")


def test_finish_twice_gives_nothing_more() -> None:
    stream = AnswerStream([b"a\xe2", b""].__getitem__, ["a\ufffd!"])
    stream.push(0, (-1.0, ()))
    assert joined([e for e in stream.finish() if isinstance(e, Text)]) == "a\ufffd"
    assert stream.finish() == []


def test_an_empty_stop_is_refused_at_once() -> None:
    with pytest.raises(RequestError):
        AnswerStream(lambda _: b"", [""])


def test_a_logprob_has_text_bytes_and_the_best_beside_it() -> None:
    stream = AnswerStream([b"a", b"\xf0\x9f"].__getitem__)
    [event] = stream.push(0, (-0.5, [(0, -0.5), (1, -1.5)]))
    assert isinstance(event, Text)
    [entry] = event.logprobs
    assert (entry.token, entry.text, entry.data, entry.logprob) == (0, "a", b"a", -0.5)
    assert [(t.token, t.text, t.data, t.logprob, t.top) for t in entry.top] == [
        (0, "a", b"a", -0.5, ()),
        (1, "\ufffd", b"\xf0\x9f", -1.5, ()),
    ]


def test_logprobs_of_a_split_character_come_together_with_it() -> None:
    events, _ = run([b"x", b"\xf0\x9f", b"\x98\x80", b"y"], scored=True)
    assert [(event.text, [entry.token for entry in event.logprobs]) for event in events] == [
        ("x", [0]),
        ("😀", [1, 2]),
        ("y", [3]),
    ]


def test_logprobs_of_tokens_in_and_behind_the_stop_are_dropped_that_of_the_one_it_cuts_is_kept() -> None:
    events, _ = run([b"one", b" two\n", b"\n", b"three"], ["\n\n"], scored=True)
    assert joined(events) == "one two"
    assert scored_tokens(events) == [0, 1]


def test_a_last_token_without_text_still_gives_its_logprob() -> None:
    events, _ = run([b"a", b""], scored=True)
    assert [(event.text, [entry.token for entry in event.logprobs]) for event in events] == [("a", [0]), ("", [1])]


pieces_lists = st.lists(st.sampled_from([b"a", b"b", b"ab", b"", b"\xf0\x9f", b"\x98\x80", b"\x80", "é".encode()]))


@given(pieces_lists)
def test_without_a_stop_every_token_has_exactly_one_logprob_in_order(pieces: list[bytes]) -> None:
    events, _ = run(pieces, ["zz", "bbbbbbbbb"], scored=True)
    if "bbbbbbbbb" not in joined(events):
        assert joined(events) == b"".join(pieces).decode("utf-8", "replace")
        assert scored_tokens(events) == list(range(len(pieces)))


@given(pieces_lists, st.lists(st.text("abé", min_size=1, max_size=3), max_size=3))
def test_text_is_cut_at_the_first_stop_and_logprobs_are_a_prefix(pieces: list[bytes], stops: list[str]) -> None:
    events, stopped = run(pieces, stops, scored=True)
    whole = b"".join(pieces).decode("utf-8", "replace")
    ends = [whole.index(stop) for stop in stops if stop in whole]
    assert joined(events) == whole[: min(ends, default=len(whole))]
    assert (stopped is not None) == bool(ends)
    tokens = scored_tokens(events)
    assert tokens == list(range(len(tokens)))
    assert all(event.text or event.logprobs for event in events)
