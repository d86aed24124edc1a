"""Reads forward through the header of a GGUF file: every length is checked before a byte is kept on its word."""

from __future__ import annotations

import struct

from edgellm.catalog.byte_source import ByteSource

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_LONGEST_TEXT_IN_LIST = 2**20
LARGEST_HEADER = 2**28


class Damaged(Exception):
    """The bytes cannot be what they claim to be; the message says why."""


class GgufCursor:
    """A place in `source`. It holds one block of at most `largest_block` bytes; methods raise Damaged at the end."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._block = source.first_block
        self._window = b""
        self._base = 0  # where the window lies in the source
        self._at = 0  # in the window; may be beyond it after a skip

    @property
    def at(self) -> int:
        return self._base + self._at

    @property
    def left(self) -> int:
        return self._source.size - self.at

    def take(self, size: int) -> bytes:
        """The next `size` bytes; callers bound `size`."""
        start = self._at
        if start + size > len(self._window):
            self._fill(size)
            start = 0
        self._at = start + size
        return self._window[start : self._at]

    def skip(self, size: int) -> None:
        """Step over `size` bytes without reading them."""
        if size > self.left or self.at + size > LARGEST_HEADER:
            raise self._ends()
        self._at += size

    def unpack(self, form: struct.Struct) -> float | int | bool:
        value: float | int | bool = form.unpack(self.take(form.size))[0]
        return value

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def text(self, limit: int) -> bytes:
        """A string with its length in front, which may be at most `limit` bytes."""
        size = self.u64()
        if size > limit:
            raise Damaged(f"a text of {size:,} bytes, where at most {limit:,} are allowed")
        return self.take(size)

    def count(self, smallest: int, limit: int, what: str) -> int:
        """A number of things that take at least `smallest` bytes each, hence bounded by what is left of the file."""
        number = self.u64()
        if number > limit or number * smallest > self.left:
            raise Damaged(f"it claims {number:,} {what}, more than such a file can hold")
        return number

    def scan_texts(self, count: int, wanted: frozenset[bytes]) -> set[bytes]:
        """Step over `count` strings; returns those of them that are `wanted`."""
        sizes = {len(text) for text in wanted}
        found: set[bytes] = set()
        unpack, window, at = _U64.unpack_from, self._window, self._at
        for _ in range(count):
            size = unpack(window, at)[0] if at + 8 <= len(window) else None
            if size is None or at + 8 + size > len(window):  # the window ends in this string: slide it on
                self._at = at
                text = self.text(_LONGEST_TEXT_IN_LIST)
                window, at = self._window, self._at
            else:
                at += 8 + size
                text = window[at - size : at] if size in sizes else b""
            if text in wanted:
                found.add(text)
        self._at = at
        return found

    def _fill(self, least: int) -> None:
        """Move the window here and give it at least `least` bytes."""
        if least > self.left or self.at + least > LARGEST_HEADER:
            raise self._ends()
        kept = self._window[self._at :]
        self._base, self._at = self.at, 0
        wanted = max(least - len(kept), self._block)
        self._window = kept + self._source.read(self._base + len(kept), wanted)
        self._block = min(2 * self._block, self._source.largest_block)
        if len(self._window) < least:
            raise self._ends()

    def _ends(self) -> Damaged:
        if self._source.size > LARGEST_HEADER:
            return Damaged("its header does not end where a header should")
        return Damaged(f"it ends at byte {self._source.size:,}, inside its header")
