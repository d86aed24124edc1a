"""`told`: work in a thread of its own, and how far it has come, step by step, on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import msgspec

from edgellm.download.report import Report


class Step(msgspec.Struct, frozen=True):
    """What is being done, and how many bytes of how many (0: unknown) it has brought."""

    label: str
    done: int
    total: int


class _Left(Exception):
    """Unwinds work whose result nobody waits for any more."""


async def told(work: Callable[[Report], Any]) -> AsyncGenerator[Step, None]:
    """The steps that `work` reports, each only if it differs from the one before; raises what `work` raises.

    Leaving early stops `work` at its next report. Its thread is none of the loop's own, which short work needs, and
    does not keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[Step | BaseException | None] = asyncio.Queue()
    left = threading.Event()

    def put(item: Step | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody listens any more
            loop.call_soon_threadsafe(steps.put_nowait, item)

    def report(label: str, done: int, total: int) -> None:
        if left.is_set():
            raise _Left
        put(Step(label, done, total))

    def run() -> None:
        try:
            work(report)
            put(None)
        except BaseException as error:  # raised where it is waited for
            put(error)

    threading.Thread(target=run, name="edgellm-pull", daemon=True).start()
    last = None
    try:
        while (step := await steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            if step != last:
                yield step
            last = step
    finally:
        left.set()
