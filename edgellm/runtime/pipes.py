"""Both ends of a pipe for an event loop, the same on every system and loop: neither reading nor writing blocks it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from io import FileIO
from typing import Any

CHUNK = 1 << 16


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> bool:
    """Call back on `loop` from any thread; False when the loop is closed already."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True


def start_reader(
    pipe: FileIO, loop: asyncio.AbstractEventLoop, received: Callable[[bytes], object], ended: Callable[[], None]
) -> None:
    """Hand what arrives to `received` on the loop; when pipe or loop end, call `ended` in the reader's thread."""

    def run() -> None:
        with pipe:
            while (data := _read(pipe)) and post(loop, received, data):
                pass
        ended()

    threading.Thread(target=run, name="edgellm-pipe-reader", daemon=True).start()


def _read(pipe: FileIO) -> bytes:
    try:
        return os.read(pipe.fileno(), CHUNK)
    except OSError:
        return b""


class PipeWriter:
    """Writes in order: at once while the pipe has room, and from a thread of its own while it has none.

    Where a pipe cannot be asked whether it has room (Windows), the thread writes everything. A reader that is gone
    is no error here: the other pipe's end tells of it.
    """

    def __init__(self, pipe: FileIO, direct: bool = os.name == "posix") -> None:
        self._pipe = pipe
        self._direct = direct
        self._left = bytearray()
        self._busy = False  # the thread has bytes in hand, so that nothing may overtake it
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        if direct:
            os.set_blocking(pipe.fileno(), False)

    def write(self, data: bytes | bytearray) -> None:
        with self._changed:
            if self._closed:
                return
            done = _write_some(self._pipe.fileno(), data) if self._direct and not self._busy else 0
            if done < len(data):
                self._left += memoryview(data)[done:]
                self._wake()

    def close(self) -> None:
        """End the pipe once everything is written; returns at once. Idempotent."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            if self._thread is None:
                self._pipe.close()
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        """After `close`, wait until everything is written, or for `timeout_s`."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _wake(self) -> None:
        self._busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="edgellm-pipe-writer", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        with self._pipe:
            while data := self._next():
                _write_all(self._pipe.fileno(), data)

    def _next(self) -> bytearray:
        """What waits to be written, all of it; empty at the end."""
        with self._changed:
            while not self._left and not self._closed:
                self._busy = False
                self._changed.wait()
            data, self._left = self._left, bytearray()
            return data


def _write_some(descriptor: int, data: bytes | bytearray | memoryview) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)


def _write_all(descriptor: int, data: bytearray) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            written = _write_some(descriptor, view[done:])
            if not written:
                _wait_for_room(descriptor)
            done += written


def _wait_for_room(descriptor: int) -> None:
    """Only a non-blocking descriptor comes here, and only POSIX systems have one."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
