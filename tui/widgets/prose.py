"""A run of prose, or anything else that is a `Document`, as one selectable widget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.style import Style as RichStyle
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region
from textual.selection import Selection
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from tui.painting import Laid
from tui.widgets.document import Block, Document

NO_ROW = Strip([])


class DocumentText(Laid):
    """Shows a `Document`: rows that stay are not painted again, and the layout is done anew only when the height
    changes."""

    def __init__(self, blocks: Sequence[Block] = (), *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.set_reactive(Widget.auto_links, False)  # there are none to be clicked: rows can stay what they are
        self._document = Document(blocks)

    def show_blocks(self, blocks: Sequence[Block]) -> None:
        """In place of those before."""
        width, height = self.content_size
        before = self._document.drawn(width)
        self._document.show(blocks)
        after = self._document.drawn(width)
        if before is None or after is None or len(after) != height:
            self.refresh(layout=True)
        elif changed := [y for y, (old, new) in enumerate(zip_longest(before, after)) if old is not new]:
            self.refresh(Region(0, changed[0], width, changed[-1] + 1 - changed[0]))

    def render(self) -> Visual:
        return self._document

    def notify_style_update(self) -> None:
        self._document.forget()
        super().notify_style_update()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return self._document.extract(selection), "\n"


class ProseText(DocumentText):
    """Has no frame."""

    DEFAULT_CSS = "ProseText { height: auto; width: 1fr; }"

    def __init__(self, blocks: Sequence[Block] = (), *, classes: str | None = None) -> None:
        super().__init__(blocks, classes=classes)
        self._finished: dict[int, tuple[Strip, Strip]] = {}
        self._finished_for: object = None

    def render_lines(self, crop: Region) -> list[Strip]:
        """Rows that stay are finished once; Textual's own way finishes all of them anew whenever the height changes."""
        if self.opacity < 1 or crop.column_span != (0, self.size.width):
            return super().render_lines(crop)
        _, background = self.background_colors
        style, filters = self.visual_style.rich_style, tuple(self.get_line_filters())
        if self._finished_for != (crop.width, background, style, filters):
            self._finished_for = (crop.width, background, style, filters)
            self._finished.clear()
        return [self._row(y, crop.width, background, style, filters) for y in crop.line_range]

    def _row(self, y: int, width: int, background: Color, style: RichStyle, filters: Sequence[LineFilter]) -> Strip:
        row, (before, finished) = self.render_line(y), self._finished.get(y, (None, NO_ROW))
        if row is not before:
            finished = row.adjust_cell_length(width, style)
            for each in filters:
                finished = finished.apply_filter(each, background)
            self._finished[y] = row, finished
        return finished
