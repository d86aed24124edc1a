"""Shows the summary that is to take the place of the oldest messages: to be read, changed, used or not."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from tui.notices import Summarized
from tui.screens.dialog import Dialog

WEAK = 12
"""Words a message, below which a summary has hardly room for what was said."""


class SummaryScreen(Dialog[str]):
    """Returns the words to use."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "use", "Use it", show=False, priority=True)]

    def __init__(self, summarized: Summarized) -> None:
        super().__init__()
        self._summarized = summarized
        self._text = TextArea(summarized.words, soft_wrap=True, tab_behavior="focus", compact=True)

    def compose(self) -> ComposeResult:
        count = self._summarized.offer.left_out
        with Vertical(classes="dialog"):
            yield Static("The summary, as the model wrote it", classes="title")
            about = f"It takes the place of the first {count} messages. The model will know no more of them than this."
            yield Static(about, classes="about", markup=False)
            if is_weak(self._summarized):
                yield Static("It is very short: check that what matters is in it, or write it in.", classes="error")
            yield self._text
            yield Static("^S uses it   Esc leaves everything as it is", classes="hint")

    def on_mount(self) -> None:
        self._text.focus()

    def action_use(self) -> None:
        self.dismiss(self._text.text.strip() or None)


def is_weak(summarized: Summarized) -> bool:
    """Whether a look at it tells that it cannot hold what it stands for."""
    return len(summarized.words.split()) < WEAK * max(1, summarized.offer.left_out // 2)
