"""What a model thought before it answered: one line, which opens on a click."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from tui.widgets.figures import seconds


class Thinking(Static, can_focus=True):
    """Folded unless asked; `seconds` None while the model still thinks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "fold", "Fold or unfold"),
        Binding("space", "fold", "Fold or unfold", show=False),
    ]

    def __init__(self, text: str = "", seconds: float | None = None) -> None:
        super().__init__()
        self._text = text
        self._seconds = seconds
        self._open = False

    def on_mount(self) -> None:
        self._draw()

    def show(self, text: str, seconds: float | None) -> None:
        shown = (self._text if self._open else "", self._seconds)
        self._text, self._seconds = text, seconds
        if shown != (text if self._open else "", seconds):
            self._draw()

    def action_fold(self) -> None:
        self._open = not self._open
        self._draw()

    def on_click(self, event: Click) -> None:
        if event.y == 0:
            event.stop()
            self.action_fold()

    def _draw(self) -> None:
        arrow = "▾" if self._open else "▸"
        words = "Thinking …" if self._seconds is None else f"Thought for {seconds(self._seconds)}"
        head = Content.styled(f"{arrow} {words}", "$text-muted")
        body = Content.styled(self._text.strip(), "$text-muted italic")
        self.update(Content("\n").join([head, body]) if self._open else head)
