"""Words that a request quotes before the text it is about: where a copy of that text comes to one, it often changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence as Seq

Piece = Callable[[int], bytes]
"""The bytes that a token stands for."""

_QUOTED = re.compile(rb"(?<![A-Za-z0-9])[`\"']([A-Za-z][A-Za-z0-9]+)")
_BEGINS = re.compile(rb"[^A-Za-z0-9]*([A-Za-z][A-Za-z0-9]*)\Z")
_GOES_ON = re.compile(rb"[A-Za-z0-9]+")
_READ = 256
"""Tokens before a text in which quoted words are looked for."""

_LONGEST = 6
"""Tokens of a word at most."""


class Mentions:
    """Of one sequence; `tokens` may grow, and nothing is known until `read`."""

    def __init__(self, tokens: Seq[int], piece: Piece) -> None:
        self._tokens = tokens
        self._piece = piece
        self._words: dict[bytes, int] = {}
        self._found: dict[int, bytes | None] = {}

    def read(self, end: int) -> None:
        """Take in what is quoted before place `end`."""
        text = b"".join(map(self._piece, self._tokens[max(0, end - _READ) : end]))
        self._words = dict.fromkeys(_QUOTED.findall(text), 0)

    def passed(self, place: int) -> int | None:
        """How often the quoted word that begins at `place` was copied as it is; None where none begins."""
        if not self._words:
            return None
        if place not in self._found:
            begun = self._word(place)
            self._found[place] = begun if begun in self._words else None
        word = self._found[place]
        return None if word is None else self._words[word]

    def copied(self, place: int) -> None:
        """The token at `place` was copied as it is."""
        if (word := self._found.get(place)) is not None:
            self._words[word] += 1

    def _word(self, place: int) -> bytes:
        """The word whose first letters the token at `place` holds, and its last ones; empty if there is none."""
        first = self._piece(self._tokens[place])
        begins = _BEGINS.match(first)
        if begins is None:
            return b""
        if begins.start(1) == 0 and place and self._piece(self._tokens[place - 1])[-1:].isalnum():
            return b""
        word = begins[1]
        for token in self._tokens[place + 1 : place + _LONGEST]:
            piece = self._piece(token)
            more = _GOES_ON.match(piece)
            if more is None:
                break
            word += more[0]
            if len(more[0]) < len(piece):
                break
        return word
