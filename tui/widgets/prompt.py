"""Where the user writes: several lines, the words sent before at the arrow keys, suggestions for `/` and `@`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from tui.widgets.signals import Drafted, Submitted

MARK = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}"
"""Stands before what the user writes."""
NEWLINE = ("shift+enter", "ctrl+j", "alt+enter")
HINT = "Message …    / commands   @ files   Shift+Enter new line"


class Prompt(TextArea):
    """Sends `Submitted` and `Drafted`. While `choosing`, the keys that choose a suggestion are sent as `Choosing`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter,alt+enter", "new_line", "New line", show=False),
        Binding("pageup", "screen.page(-1)", "Page up", show=False, priority=True),
        Binding("pagedown", "screen.page(1)", "Page down", show=False, priority=True),
    ]

    class Choosing(Message):
        """`key` is one of up, down, tab, enter, escape."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, compact=True, highlight_cursor_line=False, placeholder=HINT, tab_behavior="focus"
        )
        self.sent: Sequence[str] = ()
        self.choosing = False
        self._place: int | None = None
        self._unsent = ""
        self._quiet = ""

    def fill(self, text: str) -> None:
        """Show `text`, with the cursor behind it, without telling anybody."""
        if text != self.text:
            self._quiet = text
            self.load_text(text)
        self.move_cursor(self.document.end)

    def begin(self, text: str) -> None:
        """Have `text` as though it was typed, to be gone on with."""
        self.fill("")
        self.insert(text)
        self.focus()

    def submit(self) -> None:
        """Give the text away: what is typed from here on belongs to the next message."""
        text = self.text
        if text.strip():
            self.fill("")
            self.post_message(Submitted(text))

    def take_back(self, text: str) -> None:
        """What was given away is not sent: it stands in front of what was typed since."""
        self.fill(text + self.text)
        self.post_message(Drafted(self.text))

    def action_new_line(self) -> None:
        self.insert("\n")
        self.scroll_cursor_visible()

    async def _on_key(self, event: Key) -> None:
        if self.choosing and event.key in ("up", "down", "tab", "enter", "escape"):
            event.stop()
            event.prevent_default()
            self.post_message(self.Choosing(event.key))
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self.submit()
        elif event.key in ("up", "down") and self._recall(event.key):
            event.stop()
            event.prevent_default()
        elif event.key not in NEWLINE:
            await super()._on_key(event)

    def _recall(self, key: str) -> bool:
        """Step through what was sent before, where the cursor could not move further anyway."""
        row, last = self.cursor_location[0], self.document.line_count - 1
        if not self.sent or (row != 0 if key == "up" else row != last):
            return False
        if self._place is None:
            if key == "down":
                return False
            self._unsent, self._place = self.text, len(self.sent)
        place = self._place + (-1 if key == "up" else 1)
        if place < 0:
            return True
        text = self._unsent if place >= len(self.sent) else self.sent[place]
        self._place = None if place >= len(self.sent) else place
        self.fill(text)
        self.post_message(Drafted(text))
        return True

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if self.text == self._quiet:
            return
        self._quiet = "\0"
        self._place = None
        self.post_message(Drafted(self.text))
