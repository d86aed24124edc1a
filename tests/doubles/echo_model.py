"""`EchoModel`: a scripted `Model` in this process that says back, word by word, what it was told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from edgellm.errors import EdgeLLMError
from edgellm.events import Event, Failed, Finished, Progress, Started, Text, Timings, TokenLogprob, Usage
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Conversation, Infill, Input, Prompt, SamplingParams, TokenIds


class EchoModel:
    """Set its attributes to script it; read `requests`, `open`, `finished`, `cancelled` and `closed` afterwards.

    refuse:     raised before any event
    fail_after: so many words, then `failure`
    crash_after: so many words, then a bare RuntimeError
    delay_s:    before each word; `silence_s`: between Started and the first word
    hold:       nothing at all comes, not even Started, until the stream is closed
    reply:      events to give instead of the echo
    """

    def __init__(self, name: str = "echo", sampling: SamplingParams = SamplingParams()) -> None:
        self._info = ModelInfo(
            name=name, backend="double", context_length=512, parameters=7, created=1, parallel=2, sampling=sampling
        )
        self.refuse: Exception | None = None
        self.fail_after: int | None = None
        self.failure: EdgeLLMError = EdgeLLMError("scripted")
        self.crash_after: int | None = None
        self.delay_s = 0.0
        self.silence_s = 0.0
        self.hold = False
        self.reply: list[Event] = []
        self.load_error: EdgeLLMError | None = None
        self.load_s = 0.0
        self.requests: list[ChatRequest] = []
        self.open = self.finished = self.cancelled = self.peak = 0
        self.loaded = self.closed = False

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def start(self) -> None:
        await asyncio.sleep(self.load_s)
        if self.load_error is not None:
            raise self.load_error
        self.loaded = True

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            async for event in self._script(request):
                yield event
            self.finished += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.open -= 1

    async def _script(self, request: ChatRequest) -> AsyncIterator[Event]:
        if self.refuse is not None:
            raise self.refuse
        if self.hold:
            await asyncio.Event().wait()
        for event in self.reply:
            yield event
        for choice in range(0 if self.reply else request.n):
            async for event in self._echo(request, choice):
                yield event

    async def _echo(self, request: ChatRequest, choice: int) -> AsyncIterator[Event]:
        text = said(request.input)
        words = re.findall(r"\s*\S+|\s+$", text)
        limit = len(words) if request.max_tokens is None else request.max_tokens
        yield Started(prompt_tokens=len(words), cached_tokens=min(2, len(words)), choice=choice)
        yield Progress(done=len(words), total=len(words), choice=choice)
        await asyncio.sleep(self.silence_s)
        for i, word in enumerate(words[:limit]):
            if i == self.fail_after:
                yield Failed(code=self.failure.code, message=str(self.failure), choice=choice)
                return
            if i == self.crash_after:
                raise RuntimeError("scripted crash with a secret")
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            yield Text(word, choice, logprobs=_logprobs(word, request.logprobs))
        reason = "length" if limit < len(words) else "stop"
        count = min(limit, len(words))
        usage = Usage(len(words), count, min(2, len(words)))
        timings = Timings(cache_n=2, prompt_n=len(words), prompt_ms=10.0, predicted_n=count, predicted_ms=20.0)
        yield Finished(reason, usage, timings, choice=choice)

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        return [len(word) for word in said(input).split()] + [0] * len(tools)

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        return [b"x" * id for id in ids]

    async def status(self) -> ModelStatus:
        return ModelStatus(running=self.open)

    async def aclose(self) -> None:
        self.closed = True


def said(input: Input) -> str:
    """The text that an `EchoModel` says back for `input`."""
    match input:
        case Conversation(messages=messages):
            return messages[-1].text
        case Prompt(text=text):
            return text
        case Infill(prefix=prefix, suffix=suffix):
            return f"{prefix} {suffix}"
        case TokenIds(ids=ids):
            return " ".join(str(i) for i in ids)


def _logprobs(word: str, count: int | None) -> tuple[TokenLogprob, ...]:
    if count is None:
        return ()
    data = word.encode()
    top = tuple(TokenLogprob(i, f"{word}{i}", data, float("-inf") if i else -0.5) for i in range(count))
    return (TokenLogprob(1, word, data, -0.5, top),)
