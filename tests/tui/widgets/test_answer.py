"""Thoughts and tool calls in an answer, while it is written and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.request import ChatRequest
from tests.doubles.scripted_model import ScriptedModel
from tui.widgets.answer import Answer
from tui.widgets.thinking import Thinking
from tui.widgets.tool_calls import ToolCalls


class Thinker(ScriptedModel):
    """Thinks, waits for `go`, calls a tool, says something."""

    def __init__(self) -> None:
        super().__init__([["unused"]], name="thinker")
        self.go = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        yield Started(3, 0)
        yield Reasoning("It may ")
        yield Reasoning("rain in Bern.")
        await self.go.wait()
        yield ToolStart("1", "weather")
        yield ToolArguments('{"city": ')
        yield ToolArguments('"Bern"}')
        yield ToolEnd()
        yield Text("Let me look.")
        yield Finished("tool_calls", Usage(3, 9), Timings(predicted_n=9, predicted_ms=100))


def words(widget) -> str:  # type: ignore[no-untyped-def]
    return str(widget.render())


async def test_thoughts_are_folded_and_calls_are_shown(start) -> None:
    model = Thinker()
    async with start(model) as running:
        await running.ready()
        await running.type("Weather?")
        await running.pilot.press("enter")
        await running.until(lambda: bool(running.app.query(Thinking)) and running.app.query_one(Thinking).display)
        thinking = running.app.query_one(Thinking)
        assert "Thinking" in words(thinking) and "rain" not in words(thinking)
        thinking.focus()
        await running.pilot.press("enter")
        await running.until(lambda: "rain in Bern." in words(thinking))
        await running.pilot.press("enter")
        await running.until(lambda: "rain" not in words(thinking))
        model.go.set()
        await running.ready()
        await running.settled()
        await running.until(lambda: "Thought for" in words(running.app.query_one(Thinking)))
        calls = running.app.query_one(ToolCalls)
        assert calls.display and "weather" in words(calls) and '{"city": "Bern"}' in words(calls)
        assert running.app.query_one(Answer).text == "Let me look."
    async with start(model, resume=True) as again:
        await again.until(lambda: bool(again.app.query(ToolCalls)))
        assert "weather" in words(again.app.query_one(ToolCalls))
        assert "Thought for" in words(again.app.query_one(Thinking))
