"""A scripted `Model` whose prompts have a length: one token a word of the messages, and ends that tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import Tool
from edgellm.request import ChatRequest, Conversation, Input, Prompt
from tests.doubles.scripted_model import ScriptedModel


class ContextModel(ScriptedModel):
    """Requests for a title or a summary get that; others the events given, and wait at None until `go` is set."""

    def __init__(self, *events: Event | None, context: int = 1000, title: str = "A title") -> None:
        super().__init__([["unused"]])
        self.info = msgspec.structs.replace(self.info, context_length=context)
        self.events = events or (Text("answer"),)
        self.title = title
        self.go = asyncio.Event()
        self.asked: list[ChatRequest] = []

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        said = words(request.input)
        yield Started(prompt_tokens=len(said.split()), cached_tokens=0)
        if "title of two to six words" in said:
            yield Text(self.title)
        elif "summary of our conversation" in said:
            yield Text("the summary")
        else:
            self.asked.append(request)
            for event in self.events:
                if event is None:
                    await self.go.wait()
                else:
                    yield event
        timings = Timings(predicted_n=3, predicted_ms=100.0, draft_n=4, draft_n_accepted=3)
        yield Finished("stop", Usage(prompt_tokens=9, completion_tokens=3), timings)

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        return list(range(len(words(input).split())))


def words(input: Input) -> str:
    match input:
        case Conversation(messages=messages):
            return "\n".join(message.text for message in messages)
        case Prompt(text=text):
            return text
        case _:
            raise AssertionError(input)


THOUGHT = (Reasoning("let me "), Reasoning("think"), Text("done"))
CALL = (ToolStart("1", "weather"), ToolArguments('{"city":'), ToolArguments(' "Bern"}'), ToolEnd())
