"""What a worker says to its parent: gathered for one turn of the event loop, then written with one call."""

from __future__ import annotations

import asyncio

from edgellm import errors
from edgellm.events import Event
from edgellm.runtime import frames
from edgellm.runtime.pipes import PipeWriter
from edgellm.telemetry import log

_log = log.get("worker")


def describe(error: Exception, otherwise: type[errors.EdgeLLMError]) -> tuple[str, str, dict[str, float]]:
    """Code, message and details of `error`; one that is not ours is logged and reported as `otherwise`.

    Call it where `error` is being handled: the log takes the current traceback.
    """
    if isinstance(error, errors.EdgeLLMError):
        return error.code, str(error), errors.details(error)
    _log.error("unexpected error", exc_info=True)
    if isinstance(error, MemoryError):
        return errors.OutOfMemory.code, "The worker ran out of memory. Use a smaller model or a shorter prompt.", {}
    return otherwise.code, f"The worker failed with {type(error).__name__}: {error}. Its log has the details.", {}


class Outbox:
    """Events of one stream share a frame; other messages follow all events given before them."""

    def __init__(self, writer: PipeWriter) -> None:
        self._writer = writer
        self._events: dict[int, list[Event]] = {}
        self._frames = bytearray()
        self._scheduled = False

    def event(self, id: int, event: Event) -> None:
        self._events.setdefault(id, []).append(event)
        self._schedule()

    def send(self, message: frames.FromWorker) -> None:
        """Comes after every event given before. Raises `FrameError` when `message` cannot be sent."""
        frames.append(self._frames, message)
        self._schedule()

    def flush(self) -> None:
        self._scheduled = False
        data = bytearray()
        for id, events in self._events.items():
            try:
                frames.append(data, frames.EventFrame(id, events))
            except frames.FrameError as error:
                frames.append(data, frames.Raised(id, *describe(error, errors.EdgeLLMError)))
        self._events.clear()
        data += self._frames
        self._frames.clear()
        if data:
            self._writer.write(data)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)
