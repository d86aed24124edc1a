"""AnswerStream: text, stop strings and log-probabilities of one choice, token by token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.answer import AnswerStream
from edgellm.chat.tools.family import family_of
from edgellm.chat.tools.parser import ParserContext
from edgellm.errors import RequestError
from edgellm.events import Event, Reasoning, Text, ToolEnd, ToolStart
from edgellm.messages import Tool


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


# -- thoughts and calls -----------------------------------------------------------------------------------------------

TOOLS = (Tool("add", "", {"type": "object"}), Tool("time"))
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>'


def read(text: str, stops: list[str] | None = None, size: int = 3, **options: Any) -> tuple[list[Event], AnswerStream]:
    """The events of `text`, cut into tokens of `size` characters, log-probabilities included."""
    pieces = [text[at : at + size].encode() for at in range(0, len(text), size)]
    family = family_of("<tool_call></think>")
    parser = family.parser(
        ParserContext(tools=TOOLS, forced=bool(options.get("only_calls")), early=False, thinking_open=False)
    )
    stream = AnswerStream(pieces.__getitem__, stops or [], 0, parser, **options)
    events: list[Event] = []
    for token in range(len(pieces)):
        events += stream.push(token, (0.0, ()))
    return events + stream.finish(), stream


def shown(events: list[Event]) -> list[Any]:
    """Kinds and texts, neighbours of a kind joined."""
    out: list[Any] = []
    for event in events:
        kind = type(event).__name__
        text = event.name if isinstance(event, ToolStart) else getattr(event, "text", "")
        if out and out[-1][0] == kind and kind != "ToolStart":
            out[-1] = (kind, out[-1][1] + text)
        elif text or kind != "Text":
            out.append((kind, text))
    return out


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_thoughts_text_and_calls_are_events_of_their_own(size: int) -> None:
    events, stream = read(f"<think>\nhm\n</think>\n\nLook:\n{CALL}\n{OTHER}", size=size)
    assert shown(events) == [
        ("Reasoning", "hm"),
        ("Text", "Look:"),
        ("ToolStart", "add"),
        ("ToolArguments", '{"a": 1}'),
        ("ToolEnd", ""),
        ("ToolStart", "add"),
        ("ToolArguments", '{"a": 2}'),
        ("ToolEnd", ""),
    ]
    assert stream.called and not stream.over
    assert [event.part for event in events if isinstance(event, ToolEnd)] == [2, 3]
    ids = [event.id for event in events if isinstance(event, ToolStart)]
    assert len(set(ids)) == 2 and all(id.startswith("call_") for id in ids)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_every_token_of_an_answer_with_calls_has_its_log_probability(size: int) -> None:
    text = f"<think>\nhm\n</think>\n\nLook:\n{CALL}\n"
    events, _ = read(text, size=size)
    entries = [entry for event in events if isinstance(event, Text | Reasoning) for entry in event.logprobs]
    assert [entry.token for entry in entries] == list(range(-(-len(text) // size)))


def test_stop_strings_count_in_text_alone() -> None:
    events, stream = read(f"<think>\nSTOP\n</think>\n\nLook:\n{CALL}", stops=["STOP", '"a"'])
    assert ("ToolArguments", '{"a": 1}') in shown(events)
    assert stream.stopped is None
    events, stream = read(f"Look: STOP {CALL}", stops=["STOP"])
    assert (shown(events), stream.stopped) == ([("Text", "Look: ")], "STOP")


def test_what_a_stop_string_held_comes_before_the_call() -> None:
    events, _ = read(f"LookST{CALL}", stops=["STOP"])
    assert shown(events)[:2] == [("Text", "LookST"), ("ToolStart", "add")]


def test_only_the_first_call_where_one_is_allowed() -> None:
    events, stream = read(CALL + OTHER, parallel=False)
    assert shown(events) == [("ToolStart", "add"), ("ToolArguments", '{"a": 1}'), ("ToolEnd", "")]
    assert stream.over


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_calls_that_must_be_end_where_they_repeat_themselves(size: int) -> None:
    events, stream = read("\n".join((CALL, OTHER, CALL, OTHER)), size=size, only_calls=True)
    assert [text for kind, text in shown(events) if kind == "ToolArguments"] == ['{"a": 1}', '{"a": 2}']
    assert stream.over
    assert stream.finish() == []


@pytest.mark.parametrize("cut", range(1, len(CALL)))
def test_a_second_call_that_is_cut_off_before_it_differs_is_not_told(cut: int) -> None:
    events, _ = read(CALL + "\n" + CALL[:cut], only_calls=True)
    assert shown(events) == [("ToolStart", "add"), ("ToolArguments", '{"a": 1}'), ("ToolEnd", "")]


def test_a_call_that_never_parsed_is_text() -> None:
    events, stream = read('<tool_call>\n{"name": "add", "arguments": oops')
    assert shown(events) == [("Text", '<tool_call>\n{"name": "add", "arguments": oops')]
    assert not stream.called
