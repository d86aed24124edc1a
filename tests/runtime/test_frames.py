"""Frames: what goes in comes out, however the bytes are cut; what is no frame is refused."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ask
from edgellm.runtime import frames
from tests.doubles import wire

to_worker = st.one_of(
    st.builds(frames.Load, st.builds(frames.WorkerSpec, wire.texts, wire.objects)),
    st.builds(frames.Stream, wire.ids, wire.requests),
    st.builds(frames.Credit, wire.ids, wire.ids),
    st.builds(frames.Tokenize, wire.ids, wire.inputs, st.none() | wire.objects),
    st.builds(frames.Status, wire.ids),
    st.builds(frames.Cancel, wire.ids),
    st.builds(frames.Close),
)
from_worker = st.one_of(
    st.builds(frames.Loaded, st.builds(ModelInfo, name=wire.texts)),
    st.builds(frames.LoadFailed, wire.texts, wire.texts, st.dictionaries(wire.texts, wire.floats, max_size=2)),
    st.builds(frames.EventFrame, wire.ids, st.lists(wire.any_event, max_size=4)),
    st.builds(frames.Ended, wire.ids),
    st.builds(frames.Raised, wire.ids, wire.texts, wire.texts, st.just({"needed": 3.0})),
    st.builds(frames.Reply, wire.ids, st.lists(wire.ids, max_size=9) | st.builds(ModelStatus, running=wire.ids)),
)


def encoded(messages: list[Any]) -> bytes:
    buffer = bytearray()
    for message in messages:
        frames.append(buffer, message)
    return bytes(buffer)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(to_worker, max_size=4), st.lists(st.integers(0, 10**6), max_size=6))
def test_messages_to_the_worker_survive_any_cutting(messages: list[Any], places: list[int]) -> None:
    decoder: frames.FrameDecoder[Any] = frames.FrameDecoder(frames.ToWorker)
    assert [message for data in cut(encoded(messages), places) for message in decoder.feed(data)] == messages


@given(st.lists(from_worker, max_size=4), st.lists(st.integers(0, 10**6), max_size=6))
def test_messages_from_the_worker_survive_any_cutting(messages: list[Any], places: list[int]) -> None:
    decoder: frames.FrameDecoder[Any] = frames.FrameDecoder(frames.FromWorker)
    assert [message for data in cut(encoded(messages), places) for message in decoder.feed(data)] == messages


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_awaited_and_never_something_else(data: bytes) -> None:
    decoder: frames.FrameDecoder[Any] = frames.FrameDecoder(frames.FromWorker)
    try:
        messages = decoder.feed(data)
    except frames.FrameError:
        return
    assert all(isinstance(message, frames.FromWorker) for message in messages)


def test_a_truncated_frame_yields_nothing_yet() -> None:
    decoder: frames.FrameDecoder[Any] = frames.FrameDecoder(frames.ToWorker)
    assert decoder.feed(encoded([frames.Cancel(1), frames.Cancel(2)])[:-1]) == [frames.Cancel(1)]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", frames.MAX_FRAME + 1),
        struct.pack("<I", 3) + b"\xc1\xc1\xc1",
        struct.pack("<I", 0),
        struct.pack("<I", 20_000) + b"\x91" * 20_000,
        encoded([frames.Ended(1)]),  # a message of the other direction
    ],
    ids=["oversized", "no msgpack", "empty", "nested too deeply", "wrong direction"],
)
def test_a_damaged_frame_is_refused(data: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.FrameDecoder(frames.ToWorker).feed(data)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "request_",
    [
        ask("x" * (frames.MAX_FRAME + 1)),
        ask("\ud800"),
        ask("x", template_args={"big": 2**70}),
        ask("x", template_args={"unknown": object()}),
        ask("x", template_args={"deep": nested(100_000)}),
    ],
    ids=["too large", "half a surrogate pair", "integer too big", "not data", "nested too deeply"],
)
def test_what_fits_in_no_frame_leaves_the_buffer_as_it_was(request_: Any) -> None:
    buffer = bytearray(encoded([frames.Cancel(1)]))
    with pytest.raises(frames.FrameError):
        frames.append(buffer, frames.Stream(2, request_))
    assert buffer == encoded([frames.Cancel(1)])
