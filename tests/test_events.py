"""Tests of `edgellm.events`."""

import msgspec
import pytest

from edgellm.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Started,
    Text,
    Timings,
    TokenLogprob,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
)

LOGPROB = TokenLogprob(5, " a", b" a", -0.25, top=(TokenLogprob(6, "�", b"\xe2\x82", -1.5),))
EVENTS = [
    Started(prompt_tokens=10, cached_tokens=4, choice=1),
    Progress(done=5, total=10),
    Text("é", choice=1, part=2, logprobs=(LOGPROB,)),
    Reasoning("hm", logprobs=(LOGPROB,)),
    ToolStart("call_1", "add", part=1),
    ToolArguments('{"a":', part=1),
    ToolEnd(part=1),
    Finished("stop", Usage(10, 3, 4), Timings(4, 6, 12.5, 3, 20.0, 1.0, 2.0), stop="###"),
    Failed("queue_full", "try again", {"retry_after_s": 1.5}, choice=2),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json], ids=["msgpack", "json"])
def test_events_survive_a_process_boundary(event, codec) -> None:
    assert codec.decode(codec.encode(event), type=Event) == event


def test_every_event_is_tried_above() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_speeds() -> None:
    timings = Timings(prompt_n=50, prompt_ms=100.0, predicted_n=11, predicted_ms=200.0)
    assert timings.prompt_per_second == 500.0
    assert timings.predicted_per_second == 50.0


def test_speeds_of_nothing_are_zero() -> None:
    assert Timings().prompt_per_second == 0.0
    assert Timings(predicted_n=1).predicted_per_second == 0.0
