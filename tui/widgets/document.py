"""Text in lines with hanging indents, as something that Textual can draw, wrap and select from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, zip_longest
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


class _Drawn(NamedTuple):
    """What was drawn of a block that begins with line number `start`: the rows of each line."""

    block: Block
    start: int
    lines: Sequence[Line]
    rows: Sequence[list[Strip]]


class Document(Visual):
    """Blocks below each other; what was drawn of a block is kept while the block, width and style stay.

    Of a line that goes on, as the last one does while it is written, only the last rows are drawn anew.
    """

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self._blocks: Sequence[Block] = blocks
        self._drawn: dict[int, _Drawn] = {}
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
        strips = self._strips(width, style, options)
        return strips if height is None else strips[:height]

    def drawn(self, width: int) -> list[Strip] | None:
        """All rows as they are drawn in `width` cells; None where they were not drawn in it before.

        Rows that stay are the same objects each time.
        """
        if self._options is None or self._drawn_for is None or self._drawn_for[0] != width:
            return None
        return self._strips(width, self._drawn_for[1], self._options)

    def _strips(self, width: int, style: Style, options: RenderOptions) -> list[Strip]:
        strips: list[Strip] = []
        start = 0
        blank = Strip.blank(width, style.rich_style)
        for index, block in enumerate(self._blocks):
            if index and block.gap:
                strips.append(blank)
                start += 1
            drawn = self._block(index, block, start, width, style, options)
            for rows in drawn.rows:
                strips += rows
            start += len(drawn.lines)
        return strips

    def _block(self, index: int, block: Block, start: int, width: int, style: Style, options: RenderOptions) -> _Drawn:
        before = self._drawn.get(index)
        if options.selection is not None:
            before = None
        elif before is not None and before.block is block:
            return before
        lines = block.lines(width)
        known = zip(before.lines, before.rows, strict=True) if before is not None and before.start == start else ()
        rows = [
            _rows(line, y, width, style, options, *(was or (None, ())))
            for (y, line), was in zip_longest(enumerate(lines, start), islice(known, len(lines)))
        ]
        drawn = _Drawn(block, start, lines, rows)
        if options.selection is None:
            self._drawn[index] = drawn
        return drawn

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        lines = self.all_lines(container_width)
        return max((line.first.cell_length + line.words.cell_length for line in lines), default=0)

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self.height(width)

    def height(self, width: int) -> int:
        """Rows that all of it takes; where it was drawn before, what is new is drawn at once, not wrapped twice."""
        drawn = self.drawn(width)
        return sum(_height(line, width) for line in self.all_lines(width)) if drawn is None else len(drawn)


def _room(line: Line, width: int) -> int:
    return max(NARROWEST, width - line.first.cell_length)


def _height(line: Line, width: int) -> int:
    return line.words.get_height({}, _room(line, width)) if line.words.plain else 1


def _rows(
    line: Line,
    y: int,
    width: int,
    style: Style,
    options: RenderOptions,
    before: Line | None = None,
    drawn: Sequence[Strip] = (),
) -> list[Strip]:
    """The rows of `line`, which is number `y`; `drawn` are those of `before`, the line that was there before."""
    kept = 0
    if before is not None and (before.first, before.rest) == (line.first, line.rest):
        if before.words.is_same(line.words):
            return list(drawn)
        kept = _kept(before.words, line.words, drawn)
    if not kept:
        return _strips(line, y, width, style, options)
    place = _place(drawn[kept])
    assert place is not None
    rest = Line(line.words[place:], line.rest, line.rest)
    return [*drawn[:kept], *_strips(rest, y, width, style, options, room=_room(line, width), place=place)]


def _kept(before: Content, words: Content, drawn: Sequence[Strip]) -> int:
    """How many rows stay as they are where `words` follow `before`: those that a row stands below which stays too.

    A row ends before the first word that has no room in it. Rows are drawn anew from the beginning of a word on: the
    rest of one that was cut apart wraps otherwise than a word of its own.
    """
    if "\t" in words.plain:
        return 0
    same = _length_in_common(before.plain, words.plain)
    same = min([same, *(span.start for span in set(before.spans).symmetric_difference(words.spans))])
    for index in range(len(drawn) - 2, 0, -1):
        begin, below = _place(drawn[index]), _place(drawn[index + 1])
        if begin is not None and below is not None and below <= same and _begins_word(words.plain, begin):
            return index
    return 0


def _begins_word(text: str, place: int) -> bool:
    return text[place - 1 : place].isspace() and not text[place : place + 1].isspace()


def _length_in_common(before: str, after: str) -> int:
    if after.startswith(before):  # nearly always
        return len(before)
    return next((index for index, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(after))


def _place(row: Strip) -> int | None:
    """Where in the line's words `row` begins."""
    places = (segment.style.meta.get("offset") for segment in row if segment.style is not None)
    return next((place[0] for place in places if place is not None), None)


def _strips(
    line: Line,
    y: int,
    width: int,
    style: Style,
    options: RenderOptions,
    *,
    room: int | None = None,
    place: int = 0,
) -> list[Strip]:
    """`room` None: what the first indent leaves; `place`: where in the whole line the words begin."""
    words, plain = line.words, replace(options, selection=None, selection_style=None)
    if options.selection is not None and options.selection_style is not None:
        span = options.selection.get_span(y)
        if span is not None:
            start, end = span
            words = words.stylize(options.selection_style, start, len(words) if end == -1 else end)
    room = _room(line, width) if room is None else room
    rows = words.render_strips(room, None, style, plain) or [Strip([], 0)]
    prefixes = [line.first] + [line.rest] * (len(rows) - 1)
    return [_row(prefix, row, y, style, plain, place) for prefix, row in zip(prefixes, rows, strict=True)]


def _row(prefix: Content, row: Strip, y: int, style: Style, options: RenderOptions, place: int) -> Strip:
    segments = prefix.render_strips(prefix.cell_length, 1, style, options)[:1] if prefix.plain else []
    return Strip.join([_without_place(strip) for strip in segments] + [_at_line(row, y, place)])


def _at_line(row: Strip, y: int, place: int) -> Strip:
    """`row`, whose characters say in which of the document's lines they are: selecting goes by that."""
    return Strip([_placed(segment, y, place) for segment in row], row.cell_length)


def _placed(segment: Segment, y: int, start: int) -> Segment:
    place = segment.style.meta.get("offset") if segment.style is not None else None
    if place is None or segment.style is None:
        return segment
    at = RichStyle.from_meta({"offset": (start + place[0], y)})
    return Segment(segment.text, segment.style + at, segment.control)


def _without_place(strip: Strip) -> Strip:
    """An indent cannot be selected."""
    return Strip([Segment(segment.text, _plain(segment.style), segment.control) for segment in strip])


def _plain(style: RichStyle | None) -> RichStyle | None:
    if style is None or "offset" not in style.meta:
        return style
    return style.clear_meta_and_links()
