"""The `Model` interface: anything that turns a `ChatRequest` into a stream of `Event`s."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from edgellm.events import Event
from edgellm.messages import Tool
from edgellm.request import ChatRequest, Input, SamplingParams
from edgellm.telemetry.metrics import Snapshot


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of itself: `context_length` in tokens, `size_bytes` of weights, `created` in Unix seconds.

    `parallel` is how many answers it writes at once; 0 where nobody knows, as before it is loaded.

    `sampling` is what to use where a request names nothing; `ChatRequest` itself is always taken at its word.
    `notes` are sentences for people on how it was loaded, where that is not quite as they asked.
    """

    name: str
    backend: str = ""
    context_length: int = 0
    size_bytes: int = 0
    parameters: int = 0
    quantization: str = ""
    architecture: str = ""
    created: int = 0
    parallel: int = 0
    sampling: SamplingParams = SamplingParams()
    notes: tuple[str, ...] = ()


class SpeculationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether tokens are guessed ahead, and why: `state` in a word, `reason` in a clause.

    `step_ms` is what a decode costs by its rows, `draft_ms` a token of the draft model. Of the `drafted` tokens so many
    were `accepted`, in so many `rounds`; `speedup` is what the last of them expected; `acceptance` by who guessed is
    the part that comes true of guesses made lately. `saved_ms` is the engine's own account, below 0 for a loss.
    """

    state: Literal["off", "waiting", "on"] = "off"
    reason: str = ""
    step_ms: dict[int, float] = {}
    draft_ms: float | None = None
    acceptance: dict[str, float] = {}
    speedup: float = 1.0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    saved_ms: float = 0.0


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of load: requests waiting and running, KV cells in use and in all, and counters since the start.

    `step_host_ms` is the mean time a step spends outside the backend's decode; `metrics` counts finished choices.
    """

    waiting: int = 0
    running: int = 0
    cells_used: int = 0
    cells_total: int = 0
    sequences_resident: int = 0
    tokens_generated: int = 0
    tokens_prefilled: int = 0
    tokens_reused: int = 0
    steps: int = 0
    step_host_ms: float = 0.0
    speculation: SpeculationStatus = SpeculationStatus()
    metrics: Snapshot = Snapshot()


class Model(Protocol):
    """Local engines, worker processes, remote servers, wrappers and fakes are all this.

    Errors: what can be refused before any work (`RequestError`, `Unavailable`, `LoadError`) is raised by the first
    `__anext__` of `stream`, before any event. After `Started`, a failure is a `Failed` event, the choice's last.
    Leaving the iterator (`aclose`, cancellation of the task) cancels the work within one engine step.
    """

    @property
    def info(self) -> ModelInfo:
        """Known after `start`; before it, what is known without loading."""
        ...

    async def start(self) -> None:
        """Load whatever must be loaded; called implicitly by the first request. Idempotent."""
        ...

    def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer `request`. Close the iterator (`contextlib.aclosing`) when leaving early."""
        ...

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        """The exact ids `stream` would prefill for `input`, special tokens, template and tools included."""
        ...

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each of these tokens, control tokens written out.

        Raises RequestError for ids that the vocabulary does not have, and Unsupported where nobody can tell.
        """
        ...

    async def status(self) -> ModelStatus: ...

    async def aclose(self) -> None:
        """Stop everything and give the memory back. Idempotent; running streams end with `Failed`."""
        ...


class WrapperModel:
    """A `Model` that passes everything on to `inner`; subclasses override what they change."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    @property
    def info(self) -> ModelInfo:
        return self.inner.info

    async def start(self) -> None:
        await self.inner.start()

    def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        return self.inner.stream(request)

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        return await self.inner.tokenize(input, template_args, tools)

    async def pieces(self, ids: Sequence[int]) -> list[bytes]:
        return await self.inner.pieces(ids)

    async def status(self) -> ModelStatus:
        return await self.inner.status()

    async def aclose(self) -> None:
        await self.inner.aclose()
