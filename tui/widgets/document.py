"""Text in lines with hanging indents, as something that Textual can draw, wrap and select from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.content import Content
from textual.css.styles import RulesMap
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

NOTHING = Content("")
NARROWEST = 8
"""Cells that words get at least, however deep the indent."""


class Line(NamedTuple):
    """One line of words, wrapped behind `first` (its first row) and `rest` (the others)."""

    words: Content
    first: Content = NOTHING
    rest: Content = NOTHING


class Block(Protocol):
    """A paragraph, a list item, a table: `gap` asks for an empty row above it."""

    @property
    def gap(self) -> bool: ...

    def lines(self, width: int) -> Sequence[Line]:
        """What it consists of where `width` cells are there."""
        ...


class Document(Visual):
    """Blocks below each other; what was drawn of a block is kept while the block, width and style stay."""

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self._blocks: Sequence[Block] = blocks
        self._drawn: dict[int, tuple[Block, int, list[Strip]]] = {}
        self._drawn_for: tuple[int, Style] | None = None
        self._options: RenderOptions | None = None
        self._width = 80

    @property
    def blocks(self) -> Sequence[Block]:
        return self._blocks

    def show(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks

    def forget(self) -> None:
        """Draw everything anew: colours have changed."""
        self._drawn.clear()

    def all_lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for index, block in enumerate(self._blocks):
            lines += [Line(NOTHING)] if index and block.gap else []
            lines += block.lines(width)
        return lines

    def extract(self, selection: Selection) -> str:
        """The words selected, without the indents."""
        return selection.extract("\n".join(line.words.plain for line in self.all_lines(self._width)))

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        if not width:
            return []
        self._width = width
        if self._drawn_for != (width, style):
            self._drawn_for = (width, style)
            self._drawn.clear()
        self._options = replace(options, selection=None, selection_style=None)
        strips: list[Strip] = []
        start = 0
        for index, block in enumerate(self._blocks):
            gap = int(bool(index and block.gap))
            strips += [Strip.blank(width, style.rich_style)] * gap
            start += gap
            drawn, count = self._block(index, block, start, width, style, options)
            strips += drawn
            start += count
        return strips if height is None else strips[:height]

    def _block(
        self, index: int, block: Block, start: int, width: int, style: Style, options: RenderOptions
    ) -> tuple[list[Strip], int]:
        """The strips of `block`, whose first line is number `start`, and how many lines they are."""
        known = self._drawn.get(index)
        if known is not None and known[0] is block and options.selection is None:
            return known[2], known[1]
        lines = block.lines(width)
        strips = [strip for y, line in enumerate(lines, start) for strip in _strips(line, y, width, style, options)]
        if options.selection is None:
            self._drawn[index] = (block, len(lines), strips)
        return strips, len(lines)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        lines = self.all_lines(container_width)
        return max((line.first.cell_length + line.words.cell_length for line in lines), default=0)

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self.height(width)

    def height(self, width: int) -> int:
        """Rows that all of it takes; where it was drawn before, what is new is drawn at once, not wrapped twice."""
        if self._options is None or self._drawn_for is None or self._drawn_for[0] != width:
            return sum(_height(line, width) for line in self.all_lines(width))
        height = start = 0
        for index, block in enumerate(self._blocks):
            gap = int(bool(index and block.gap))
            drawn, count = self._block(index, block, start + gap, width, self._drawn_for[1], self._options)
            height += gap + len(drawn)
            start += gap + count
        return height


def _room(line: Line, width: int) -> int:
    return max(NARROWEST, width - line.first.cell_length)


def _height(line: Line, width: int) -> int:
    return line.words.get_height({}, _room(line, width)) if line.words.plain else 1


def _strips(line: Line, y: int, width: int, style: Style, options: RenderOptions) -> list[Strip]:
    words, plain = line.words, replace(options, selection=None, selection_style=None)
    if options.selection is not None and options.selection_style is not None:
        span = options.selection.get_span(y)
        if span is not None:
            start, end = span
            words = words.stylize(options.selection_style, start, len(words) if end == -1 else end)
    rows = words.render_strips(_room(line, width), None, style, plain) or [Strip([], 0)]
    prefixes = [line.first] + [line.rest] * (len(rows) - 1)
    return [_row(prefix, row, y, style, plain) for prefix, row in zip(prefixes, rows, strict=True)]


def _row(prefix: Content, row: Strip, y: int, style: Style, options: RenderOptions) -> Strip:
    segments = prefix.render_strips(prefix.cell_length, 1, style, options)[:1] if prefix.plain else []
    return Strip.join([_without_place(strip) for strip in segments] + [_at_line(row, y)])


def _at_line(row: Strip, y: int) -> Strip:
    """`row`, whose characters say in which of the document's lines they are: selecting goes by that."""
    return Strip([_placed(segment, y) for segment in row], row.cell_length)


def _placed(segment: Segment, y: int) -> Segment:
    place = segment.style.meta.get("offset") if segment.style is not None else None
    if place is None or segment.style is None:
        return segment
    return Segment(segment.text, segment.style + RichStyle.from_meta({"offset": (place[0], y)}), segment.control)


def _without_place(strip: Strip) -> Strip:
    """An indent cannot be selected."""
    return Strip([Segment(segment.text, _plain(segment.style), segment.control) for segment in strip])


def _plain(style: RichStyle | None) -> RichStyle | None:
    if style is None or "offset" not in style.meta:
        return style
    return style.clear_meta_and_links()
