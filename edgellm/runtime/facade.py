"""What `edgellm.load` gives: a `Model`, and the thin synchronous facade for programs without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

from edgellm.errors import from_code
from edgellm.events import Event, Failed, Text
from edgellm.model import Model, WrapperModel
from edgellm.request import ChatRequest, ask
from edgellm.runtime.loop_thread import LoopThread


class LoadedModel(WrapperModel):
    """The model itself. Use it from one event loop, or through `sync` from plain code, not both."""

    @property
    def sync(self) -> SyncModel:
        """The same model for code without `async`, on an event loop in a thread of its own."""
        return SyncModel(self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncModel:
    """A context manager over a `Model`; every method blocks. Close it, or leave the `with` block, to unload."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._loop = LoopThread()

    def text(self, request: ChatRequest | str, **options: Any) -> str:
        """The whole answer to a request or a plain string, as `stream` takes them. Raises EdgeLLMError."""
        pieces: list[str] = []
        for event in self.stream(request, **options):
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, Failed):
                raise from_code(event.code, event.message, event.details)
        return "".join(pieces)

    def stream(self, request: ChatRequest | str, **options: Any) -> Iterator[Event]:
        """The events as they come; leaving the loop early cancels the work.

        `options` are `ChatRequest`'s fields, for a plain string, which is sampled as the model recommends unless
        `sampling` is among them.
        """
        whole = (
            ask(request, **{"sampling": self.model.info.sampling, **options}) if isinstance(request, str) else request
        )
        events = self.model.stream(whole)
        try:
            while (event := self._loop.run(_next(events))) is not None:
                yield event
        finally:
            self._loop.run(_close(events))

    def start(self) -> None:
        """Load now instead of at the first request."""
        self._loop.run(self.model.start())

    def close(self) -> None:
        """Unload the model. Idempotent."""
        self._loop.close(self.model.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


async def _close(events: AsyncIterator[Event]) -> None:
    if (aclose := getattr(events, "aclose", None)) is not None:
        await aclose()
