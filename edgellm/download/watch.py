"""What a transfer in a thread of its own and whoever waits for it know of each other: bytes, words, and 'stop'."""

from __future__ import annotations

import threading


class Stopped(BaseException):
    """Unwinds a transfer that nobody waits for any more; what has arrived stays for the next time."""


class Watch:
    """Counts one file's bytes. Written by the thread that transfers, read by another, stopped by either."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self.done = 0
        self.total = 0
        """Bytes of the whole file, as soon as its source has told; 0 before."""
        self.said = ""

    def arrived(self, done: int) -> None:
        """`done` bytes of the file are here. Raises Stopped when nobody waits for the rest."""
        self.done = done
        self.said = ""
        self.check()

    def say(self, words: str) -> None:
        """What keeps the bytes from coming, for people, until some come again."""
        self.said = words
        self.check()

    def sleep(self, seconds: float) -> None:
        """Wait; Raises Stopped as soon as nobody waits for the rest."""
        self._stop.wait(seconds)
        self.check()

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped
