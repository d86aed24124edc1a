"""A run of prose as one selectable widget."""

from __future__ import annotations

from collections.abc import Sequence

from textual.selection import Selection
from textual.visual import Visual
from textual.widget import Widget

from tui.widgets.document import Block, Document


class ProseText(Widget):
    """`show` replaces the blocks; the layout is done anew only when the height changes."""

    DEFAULT_CSS = "ProseText { height: auto; width: 1fr; }"

    def __init__(self, blocks: Sequence[Block] = (), *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._document = Document(blocks)

    def show(self, blocks: Sequence[Block]) -> None:
        before = self.content_size.height
        self._document.show(blocks)
        height = self._document.height(self.content_size.width) if before else 0
        self.refresh(layout=height != before or not before)

    def render(self) -> Visual:
        return self._document

    def notify_style_update(self) -> None:
        self._document.forget()
        super().notify_style_update()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return self._document.extract(selection), "\n"
