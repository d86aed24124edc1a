"""`FreshCalls`: of an answer that must be calls, the calls alone, and none of them twice."""

from __future__ import annotations

from collections.abc import Sequence

from edgellm.chat.tools.parser import CallArguments, CallEnd, CallStart, Content, Piece


class FreshCalls:
    """What cannot stop calling calls the same again: `repeated` is set by a call that is a copy of an earlier one.

    A call is held back while it may still become one, and dropped if it does, or if it is cut off before it differs.
    Content, which is then only what was cut off, is dropped too.
    """

    def __init__(self) -> None:
        self.repeated = False
        self._made: list[str] = []
        self._call = ""
        self._held: list[Piece] | None = None

    def fresh(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Those of `pieces`, and of what was held, that may go out."""
        out: list[Piece] = []
        for piece in pieces:
            if self.repeated:
                break
            if not isinstance(piece, Content):
                out += self._taken(piece)
        return out

    def _taken(self, piece: Piece) -> list[Piece]:
        match piece:
            case CallStart(name=name):
                self._call, self._held = f"{name}\n", []
            case CallArguments(text=text):
                self._call += text
            case CallEnd():
                self.repeated = self._call in self._made
                self._made.append(self._call)
                return [] if self.repeated else [*self._released(), piece]
        if self._held is None:
            return [piece]
        self._held.append(piece)
        copies = any(made.startswith(self._call) for made in self._made)
        return [] if copies else self._released()

    def _released(self) -> list[Piece]:
        held, self._held = self._held or [], None
        return held
