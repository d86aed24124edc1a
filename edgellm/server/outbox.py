"""`Outbox`: bytes on their way from the task that reads the model to the one that writes the socket."""

from __future__ import annotations

import asyncio

ROOM = 256 * 1024


class Outbox:
    """Joins whatever gathered while the writer was busy; over `ROOM` bytes the reader has to wait.

    One task puts and one takes, both on one event loop. `puts` counts the calls of `put`.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.puts = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed = False

    def put(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        self.puts += 1
        self._filled.set()

    async def room(self) -> None:
        """Return once less than `ROOM` bytes wait; at once in the usual case."""
        while self._size >= ROOM:
            self._emptied.clear()
            await self._emptied.wait()

    async def take(self) -> bytes:
        """Everything that waits, at least one byte; b"" once closed and empty."""
        while not self._size and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._emptied.set()
        return data

    def close(self) -> None:
        """Nothing more will be put; idempotent."""
        self._closed = True
        self._filled.set()
