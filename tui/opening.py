"""Opens a model beside the event loop: finds it, fetches it where it is not here, tells how far that is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgellm.config import Settings
from edgellm.model import Model

Report = Callable[[str, int, int], None]
OpenModel = Callable[[str, Settings, Report], Model]
EVERY_S = 0.1


@dataclass(frozen=True)
class Progress:
    """`done` of `total` bytes, 0 of 0 where nothing is counted; `per_s` bytes a second."""

    label: str
    done: int = 0
    total: int = 0
    per_s: float = 0.0


class Cancelled(Exception):
    """Nobody waits any more; what was fetched is kept, and the next time goes on from there."""


class Opening:
    """`run` returns the model, not loaded yet. Raises what opening it raises, and Cancelled.

    The work is done in a thread that may be left behind: a person who quits does not wait for a network.
    """

    def __init__(self, name: str, settings: Settings, told: Callable[[Progress], None], open_model: OpenModel) -> None:
        self.name = name
        self._settings = settings
        self._told = told
        self._open = open_model
        self._cancelled = threading.Event()
        self._last = 0.0
        self._began: tuple[str, float, int] = ("", 0.0, 0)

    def cancel(self) -> None:
        self._cancelled.set()

    async def run(self) -> Model:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Model] = loop.create_future()
        threading.Thread(target=self._work, args=(loop, result), name="opening", daemon=True).start()
        return await result

    def _work(self, loop: asyncio.AbstractEventLoop, result: asyncio.Future[Model]) -> None:
        def report(label: str, done: int, total: int) -> None:
            self._report(loop, label, done, total)

        try:
            model, error = self._open(self.name, self._settings, report), None
        except Exception as problem:  # told to whoever waits
            model, error = None, problem
        try:
            loop.call_soon_threadsafe(_settle, result, model, error)
        except RuntimeError:  # the app has ended meanwhile
            return

    def _report(self, loop: asyncio.AbstractEventLoop, label: str, done: int, total: int) -> None:
        """In the thread; raises Cancelled there."""
        if self._cancelled.is_set():
            raise Cancelled(f"Gave {self.name} up.")
        now = time.monotonic()
        if label != self._began[0]:
            self._began = (label, now, done)
        elif now - self._last < EVERY_S and done != total:
            return
        self._last = now
        passed = now - self._began[1]
        per_s = (done - self._began[2]) / passed if passed > 0.5 else 0.0
        try:
            loop.call_soon_threadsafe(self._told, Progress(label, done, total, per_s))
        except RuntimeError:
            raise Cancelled("The app has ended.") from None


def _settle(result: asyncio.Future[Model], model: Model | None, error: Exception | None) -> None:
    if result.done():
        return
    if model is not None:
        result.set_result(model)
    else:
        assert error is not None
        result.set_exception(error)


def open_model(name: str, settings: Settings, report: Report) -> Model:
    """As `runtime.assemble` does it, whose rooms are imported here, in the thread."""
    from edgellm.runtime import assemble

    report("starting", 0, 0)
    return assemble.open_model(name, settings, report)
