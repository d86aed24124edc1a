"""A model's events as OpenAI's chat completion: chunks (`ChatChunks`) or one body (`ChatWhole`)."""

from __future__ import annotations

from typing import Any

from edgellm.events import Event, Finished, Reasoning, Started, Text, TokenLogprob, ToolArguments, ToolStart
from edgellm.server.openai_chunk import ChunkWriter, encode, heading
from edgellm.server.openai_logprobs import chat_logprobs
from edgellm.server.tally import Tally


class ChatChunks:
    """First a delta with the role, then content, then a finish reason with an empty delta, for each choice."""

    def __init__(self, model: str, n: int, include_usage: bool, old_fashioned: bool = False) -> None:
        """`old_fashioned` tells a call as `function_call`."""
        self._tally = Tally(n)
        self._old = old_fashioned
        self._writer = ChunkWriter(heading("chatcmpl", "chat.completion.chunk", model), self._tally, include_usage)
        self._calls: dict[int, int] = {}

    def chunk(self, event: Event) -> bytes:
        match event:
            case Text():
                return self._text(b"content", event)
            case Reasoning():
                return self._text(b"reasoning_content", event)
            case Started(choice=choice):
                self._tally.start(event)
                return self._delta(choice, b'{"role":"assistant","content":""}')
            case ToolStart() | ToolArguments():
                return self._called(event)
            case Finished(choice=choice, reason=reason):
                self._tally.add(event)
                why = _reason(reason, self._old).encode()
                ending = b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}' % (choice, why)
                return self._writer.final_piece(ending)
            case _:
                return b""

    def end(self) -> bytes:
        return self._writer.end()

    def progress(self, choice: int, told: dict[str, Any]) -> bytes:
        return self._writer.progress(b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":null}' % choice, told)

    def _text(self, field: bytes, event: Text | Reasoning) -> bytes:
        if not event.text and not event.logprobs:
            return b""
        logprobs = encode(chat_logprobs(event.logprobs)) if event.logprobs else b"null"
        return self._delta(event.choice, b'{"%b":%b}' % (field, encode(event.text)), logprobs)

    def _delta(self, choice: int, delta: bytes, logprobs: bytes = b"null") -> bytes:
        return self._writer.piece(
            b'{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":null}' % (choice, delta, logprobs)
        )

    def _called(self, event: ToolStart | ToolArguments) -> bytes:
        if isinstance(event, ToolArguments) and not event.text:
            return b""
        call = self._call(event)
        return self._delta(
            event.choice, encode({"function_call": call["function"]} if self._old else {"tool_calls": [call]})
        )

    def _call(self, event: ToolStart | ToolArguments) -> dict[str, Any]:
        """OpenAI numbers a choice's calls from 0; arguments belong to the latest one."""
        if isinstance(event, ToolArguments):
            return {"index": self._calls[event.choice], "function": {"arguments": event.text}}
        index = self._calls[event.choice] = self._calls.get(event.choice, -1) + 1
        function = {"name": event.name, "arguments": ""}
        return {"index": index, "id": event.id, "type": "function", "function": function}


def _reason(reason: str, old_fashioned: bool) -> str:
    return "function_call" if old_fashioned and reason == "tool_calls" else reason


class _Choice:
    """One choice as it grows."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.calls: list[dict[str, Any]] = []
        self.reason = "stop"

    def add(self, event: Event) -> None:
        match event:
            case Text(text=text, logprobs=logprobs):
                self.text.append(text)
                self.logprobs += logprobs
            case Reasoning(text=text, logprobs=logprobs):
                self.reasoning.append(text)
                self.logprobs += logprobs
            case ToolStart(id=call, name=name):
                self.calls.append({"id": call, "type": "function", "function": {"name": name, "arguments": ""}})
            case ToolArguments(text=text):
                self.calls[-1]["function"]["arguments"] += text
            case Finished(reason=reason):
                self.reason = reason
            case _:
                pass

    def json(self, index: int, logprobs: bool, old_fashioned: bool) -> dict[str, Any]:
        content = "".join(self.text)
        message: dict[str, Any] = {"role": "assistant", "content": content or (None if self.calls else "")}
        message["refusal"] = None
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message |= {"function_call": self.calls[0]["function"]} if old_fashioned else {"tool_calls": self.calls}
        shown = chat_logprobs(self.logprobs) if logprobs else None
        return {
            "index": index,
            "message": message,
            "logprobs": shown,
            "finish_reason": _reason(self.reason, old_fashioned),
        }


class ChatWhole:
    """The same events as one `chat.completion` body."""

    def __init__(self, model: str, n: int, logprobs: bool, old_fashioned: bool = False) -> None:
        self._tally = Tally(n)
        self._old = old_fashioned
        self._heading = heading("chatcmpl", "chat.completion", model)
        self._choices = [_Choice() for _ in range(n)]
        self._logprobs = logprobs

    def add(self, event: Event) -> None:
        self._choices[event.choice].add(event)
        if isinstance(event, Started):
            self._tally.start(event)
        if isinstance(event, Finished):
            self._tally.add(event)

    def body(self) -> bytes:
        choices = [choice.json(i, self._logprobs, self._old) for i, choice in enumerate(self._choices)]
        counts = {"usage": self._tally.usage(), "timings": self._tally.timings(), **self._tally.warnings()}
        return encode({**self._heading, "choices": choices, **counts})
