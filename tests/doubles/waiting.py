"""Waiting for what another process or thread will do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110 another process or thread cannot set an asyncio.Event
        await asyncio.sleep(0.005)
