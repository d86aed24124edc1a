"""Work that nobody awaits: kept alive until it is done, and its errors told as warnings instead of lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from edgellm.errors import EdgeLLMError
from tui import notices


class Background:
    """`tell` hears of what went wrong."""

    def __init__(self, tell: Callable[[notices.Warned], None]) -> None:
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until what runs now is done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except EdgeLLMError as error:
            self._tell(notices.Warned(str(error)))
