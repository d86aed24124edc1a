"""Markdown that is still being written: closed blocks are read once, only the open one again and again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from tui.widgets.markdown import Part, Prose, nodes, parts, read

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_LISTS = ("bullet_list", "ordered_list")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:", re.MULTILINE)


class _Cut(NamedTuple):
    """Where the open block begins; an item of a list that has closed ones is one."""

    line: int
    in_list: bool


class Feed:
    """`parts` of all that was fed; those before `changed` are the same objects as they were before the last feed."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.changed = 0
        self._closed: list[Part] = []
        self._cut = 0
        self._gap = True

    def feed(self, text: str, *, final: bool = False) -> None:
        """Take `text`, which begins with what was fed before; `final` if nothing will follow."""
        if final and self._cut and _DEFINITION.search(text):  # what was closed may hold links that are defined now
            self._closed, self._cut, self._gap = [], 0, True
        self.changed = max(0, len(self._closed) - 1)
        tail = text[self._cut :]
        blocks = nodes(tail)
        if not final and (cut := _cut(blocks)).line:
            self._close(tail, cut)
            tail = text[self._cut :]
            blocks = nodes(tail)
        self.parts = _with(self._closed, parts(blocks, tail.split("\n"), self._gap))

    def _close(self, tail: str, cut: _Cut) -> None:
        """Take what is complete out of what is read at each feed."""
        lines = tail.split("\n")[: cut.line]
        closed = "".join(f"{line}\n" for line in lines)
        self._closed = _with(self._closed, read(closed, gap=self._gap))
        self._cut += len(closed)
        self._gap = not cut.in_list or not lines[-1].strip()


def _cut(blocks: list[SyntaxTreeNode]) -> _Cut:
    if not blocks:
        return _Cut(0, False)
    last, in_list = blocks[-1], False
    if last.type in _LISTS and len(last.children) > 1:
        last, in_list = last.children[-1], True
    return _Cut(last.map[0] if last.map else 0, in_list)


def _with(parts: Iterable[Part], more: Iterable[Part]) -> list[Part]:
    """Both in one list; prose goes on where prose was."""
    whole = list(parts)
    for part in more:
        if isinstance(part, Prose) and whole and isinstance(last := whole[-1], Prose):
            whole[-1] = Prose(last.blocks + part.blocks)
        else:
            whole.append(part)
    return whole
