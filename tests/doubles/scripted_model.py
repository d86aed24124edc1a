"""A `Model` without weights: says what its script says, one answer a request, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from edgellm import errors
from edgellm.errors import EdgeLLMError
from edgellm.events import Event, Failed, Finished, Reasoning, Started, Text, Timings, Usage
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input, SamplingParams

Step = str | Reasoning | EdgeLLMError


class ScriptedModel:
    """`answers[i]` is said to the i-th request, the last one again after that.

    A string is a piece of text, after `delay_s`, and a thought is one too. An error as the first step is raised before
    any event, later it becomes a `Failed`. `cancelled` counts answers that were left early.
    """

    def __init__(
        self,
        answers: Sequence[Sequence[Step]],
        *,
        delay_s: float = 0.0,
        start_delay_s: float = 0.0,
        start_error: EdgeLLMError | None = None,
        name: str = "scripted",
        reason: str = "stop",
        sampling: SamplingParams = SamplingParams(),
    ) -> None:
        self.info = ModelInfo(name=name, context_length=4096, sampling=sampling)
        self.requests: list[ChatRequest] = []
        self.cancelled = 0
        self.started = 0
        self.closed = False
        self._answers = answers
        self._delay_s = delay_s
        self._start_delay_s = start_delay_s
        self._start_error = start_error
        self._reason: Any = reason

    async def start(self) -> None:
        await asyncio.sleep(self._start_delay_s)
        if self._start_error is not None:
            raise self._start_error
        self.started += 1

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        steps = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if steps and isinstance(steps[0], EdgeLLMError):
            raise steps[0]
        complete = False
        try:
            yield Started(prompt_tokens=7, cached_tokens=3)
            for step in steps:
                if isinstance(step, EdgeLLMError):
                    complete = True
                    yield Failed(step.code, str(step), errors.details(step))
                    return
                await asyncio.sleep(self._delay_s)
                yield Text(step) if isinstance(step, str) else step
            complete = True
            yield Finished(self._reason, _usage(len(steps)), _timings(len(steps)))
        finally:
            self.cancelled += not complete

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        return list(range(7))

    async def status(self) -> ModelStatus:
        return ModelStatus(tokens_generated=sum(len(answer) for answer in self._answers))

    async def aclose(self) -> None:
        self.closed = True


def _usage(tokens: int) -> Usage:
    return Usage(prompt_tokens=7, completion_tokens=tokens, cached_tokens=3)


def _timings(tokens: int) -> Timings:
    return Timings(cache_n=3, prompt_n=4, prompt_ms=40.0, predicted_n=tokens, predicted_ms=100.0 * max(tokens - 1, 0))
