"""A place in the bytes of a file that nobody vouches for: every read is checked, nothing is allocated on its word."""

from __future__ import annotations

import struct
from mmap import mmap

_WINDOW = 2**20
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


class Damaged(Exception):
    """The bytes cannot be what they claim to be; the message says why."""


class Cursor:
    """Reads forward through `data`; every method raises Damaged where the file ends too early."""

    def __init__(self, data: mmap | bytes) -> None:
        self.data = data
        self.end = len(data)
        self.at = 0

    @property
    def left(self) -> int:
        return self.end - self.at

    def skip(self, size: int) -> int:
        """Step over `size` bytes; returns where they start."""
        start = self.at
        if size > self.left:
            raise Damaged(f"it ends at byte {self.end:,}, inside its header")
        self.at += size
        return start

    def unpack(self, form: struct.Struct) -> float:
        value: float = form.unpack_from(self.data, self.skip(form.size))[0]
        return value

    def u32(self) -> int:
        return int(_U32.unpack_from(self.data, self.skip(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack_from(self.data, self.skip(8))[0])

    def text(self, limit: int) -> bytes:
        """A string with its length in front, which may be at most `limit` bytes."""
        size = self.u64()
        if size > limit:
            raise Damaged(f"a text of {size:,} bytes, where at most {limit:,} are allowed")
        start = self.skip(size)
        return self.data[start : start + size]

    def count(self, smallest: int, limit: int, what: str) -> int:
        """A number of things that take at least `smallest` bytes each, hence bounded by what is left of the file."""
        number = self.u64()
        if number > limit or number * smallest > self.left:
            raise Damaged(f"it claims {number:,} {what}, more than such a file can hold")
        return number

    def skip_texts(self, count: int) -> None:
        """Step over `count` strings."""
        unpack, window, base, at, done = _U64.unpack_from, b"", self.at, 0, 0
        while done < count:
            try:
                while done < count:
                    at += 8 + unpack(window, at)[0]
                    done += 1
            except (struct.error, OverflowError):  # the window ends here, or a length is absurd
                base += at
                window, at = self._window(base, 8), 0
        self.at = base
        self.skip(at)

    def texts(self, count: int) -> list[bytes]:
        """The next `count` strings."""
        unpack, window, base, at = _U64.unpack_from, self._window(self.at, 0), self.at, 0
        found: list[bytes] = []
        while len(found) < count:
            size = unpack(window, at)[0] if at + 8 <= len(window) else 0
            text = window[at + 8 : at + 8 + size]
            if at + 8 + size > len(window):  # the window ends here: take one that holds this string
                base += at
                window, at = self._window(base, 8 + size), 0
                continue
            found.append(text)
            at += 8 + size
        self.at = base + at
        return found

    def _window(self, start: int, least: int) -> bytes:
        """A copy of the bytes from `start` on: reading numbers from one is far quicker than from the file."""
        if start + least > self.end:
            raise Damaged(f"it ends at byte {self.end:,}, inside a list of texts")
        return self.data[start : start + max(least, _WINDOW)]
