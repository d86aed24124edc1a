"""Several prompts run side by side, but not all at once, and end together when one of them breaks."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from edgellm.errors import QueueFull
from edgellm.events import Finished, Text
from edgellm.request import ChatRequest, Prompt
from edgellm.server.merge import AT_ONCE, stream_all
from tests.doubles.echo_model import EchoModel


def asks(count: int, n: int = 1) -> list[ChatRequest]:
    return [ChatRequest(input=Prompt(f"prompt {i}"), n=n) for i in range(count)]


async def test_choices_are_numbered_across() -> None:
    texts: dict[int, str] = {}
    finished = []
    async for event in stream_all(EchoModel(), asks(3, n=2)):
        if isinstance(event, Text):
            texts[event.choice] = texts.get(event.choice, "") + event.text
        elif isinstance(event, Finished):
            finished.append(event.choice)
    assert texts == {i: f"prompt {i // 2}" for i in range(6)}
    assert sorted(finished) == list(range(6))


async def test_only_so_many_at_once() -> None:
    model = EchoModel()
    model.delay_s = 0.001
    assert [event async for event in stream_all(model, asks(40))]
    assert model.peak == AT_ONCE
    assert model.finished == 40


async def test_leaving_cancels_all() -> None:
    model = EchoModel()
    model.delay_s = 10
    async with aclosing(stream_all(model, asks(5))) as events:  # type: ignore[type-var]
        await anext(events)
        while model.open < 5:
            await anext(events)
    assert (model.open, model.cancelled) == (0, 5)


async def test_the_first_error_is_raised() -> None:
    model = EchoModel()
    model.refuse = QueueFull("full", 3)
    with pytest.raises(QueueFull):
        async for _ in stream_all(model, asks(20)):
            pass
    assert model.open == 0
