"""`Reader`: text as it arrives, read from the front by generators that yield None where they need more of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from typing import TypeVar, cast

from edgellm.chat.tools.parser import Piece

T = TypeVar("T")
Steps = Generator[Piece | None, None, T]  # pieces on the way, None for "not enough text yet"
Text = Generator[str | None, None, T]
Waits = Generator[None, None, T]

_SPACE = re.compile(r"\s*")
MOST_OF_A_WORD = 1000


class Mismatch(Exception):
    """The text is not what its beginning promised. Never leaves this room."""


class Marks:
    """Several spellings to look for at once; where one begins with another, the longer one is meant."""

    def __init__(self, spellings: Iterable[str]) -> None:
        self.spellings = tuple(sorted(set(spellings), key=len, reverse=True))
        self.pattern = re.compile("|".join(map(re.escape, self.spellings)) or "(?!)")
        self._beginnings = {mark[:end] for mark in self.spellings for end in range(1, len(mark))}
        self.longest = max(map(len, self.spellings), default=1)

    def begun(self, text: str, at: int) -> int:
        """How many characters at the end of `text` may be the beginning of one."""
        most = min(self.longest - 1, len(text) - at)
        return next((size for size in range(most, 0, -1) if text[-size:] in self._beginnings), 0)

    def find(self, text: str, at: int, ended: bool, most: int | None = None) -> re.Match[str] | None:
        """The first one (within `most` characters), unless it may yet become a longer one."""
        found = self.pattern.search(text, at, len(text) if most is None else at + most + self.longest)
        last = found is not None and not ended and len(text) - found.start() < self.longest
        if found and last and text[found.start() :] in self._beginnings:
            return None
        return found


@lru_cache(maxsize=512)
def marks(*spellings: str) -> Marks:
    return Marks(spellings)


class Reader:
    """Whatever is read is gone from the front, so work stays linear; `taken` gives it back since `record`."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._ended = False
        self._taken: list[str] = []
        self._recording = False

    def push(self, text: str) -> None:
        self._text = self._text[self._at :] + text
        self._at = 0

    def end(self) -> None:
        self._ended = True

    def record(self, *before: str) -> None:
        """Keep what is read from here on; `before` counts as read."""
        self._taken = list(before)
        self._recording = True

    def taken(self) -> str:
        """What was read since `record`, and an end to the recording."""
        self._recording = False
        text, self._taken = "".join(self._taken), []
        return text

    def take(self, count: int) -> str:
        text = self._text[self._at : self._at + count]
        self._at += len(text)
        if self._recording:
            self._taken.append(text)
        return text

    def ahead(self, count: int) -> Waits[str]:
        """The next `count` characters without reading them; fewer only at the end."""
        while len(self._text) - self._at < count and not self._ended:
            yield
        return self._text[self._at : self._at + count]

    def space(self) -> Waits[str]:
        """Reads all white space; "" at the end of the text or where there is none."""
        spaces = []
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            spaces.append(self.take(found.end() - self._at))
            if self._at < len(self._text) or self._ended:
                return "".join(spaces)
            yield

    def skip(self, *options: str) -> Waits[str]:
        """Reads the first of `options` that the text goes on with; "" if none."""
        for option in options:
            while True:
                here = self._text[self._at : self._at + len(option)]
                if here == option:
                    return self.take(len(option))
                if not option.startswith(here) or self._ended:
                    break
                yield
        return ""

    def expect(self, *options: str) -> Waits[str]:
        found = yield from self.skip(*options)
        if not found:
            raise Mismatch
        return found

    def word(self, pattern: re.Pattern[str], most: int = MOST_OF_A_WORD) -> Waits[str]:
        """Reads what `pattern` (of single characters) matches. Raises Mismatch for nothing, or for too much."""
        while True:
            found = pattern.match(self._text, self._at)
            size = found.end() - self._at if found else 0
            if size > most:
                raise Mismatch
            if self._at + size < len(self._text) or self._ended:
                break
            yield
        if not size:
            raise Mismatch
        return self.take(size)

    def upto(self, *ends: str) -> Waits[tuple[str, str]]:
        """Reads a short text and the first of `ends` behind it. Raises Mismatch for a long one."""
        sought = marks(*ends)
        while True:
            found = sought.find(self._text, self._at, self._ended, MOST_OF_A_WORD)
            if found and found.start() - self._at <= MOST_OF_A_WORD:
                return self.take(found.start() - self._at), self.take(len(found[0]))
            if self._ended or found or len(self._text) - self._at > MOST_OF_A_WORD + sought.longest:
                raise Mismatch
            yield

    def run(self, pattern: re.Pattern[str]) -> str:
        """Reads what `pattern` (of single characters) matches of the text that is there."""
        found = pattern.match(self._text, self._at)
        return self.take(found.end() - self._at) if found else ""

    def before(self, sought: Marks) -> Text[str]:
        """Gives all text up to the first of `sought`, as it comes, and reads that mark; "" at the end of the text."""
        while True:
            found = sought.find(self._text, self._at, self._ended)
            if found:
                yield self.take(found.start() - self._at)
                return self.take(len(found[0]))
            held = 0 if self._ended else sought.begun(self._text, self._at)
            yield self.take(len(self._text) - self._at - held)
            if self._ended:
                return ""
            yield None


def through(text: Text[T], pieces: Callable[[str], Iterable[Piece]]) -> Steps[T]:
    """All of `text` turned into pieces as it comes; what its generator returns."""
    while True:
        try:
            piece = next(text)
        except StopIteration as stop:
            return cast("T", stop.value)
        if piece is None:
            yield None
        elif piece:
            yield from pieces(piece)


def gathered(text: Text[object], most: int | None = None) -> Waits[str]:
    """All of `text` in one. Raises Mismatch for more than `most` characters."""
    pieces: list[str] = []
    size = 0
    for piece in text:
        if piece is None:
            yield
            continue
        pieces.append(piece)
        size += len(piece)
        if most is not None and size > most:
            raise Mismatch
    return "".join(pieces)
