"""What an empty conversation shows: how to begin."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

_HINTS = (
    ("Enter", "sends, Shift+Enter or Ctrl+J begins a new line"),
    ("/", "lists commands"),
    ("@", "attaches a file"),
    ("Esc", "stops an answer"),
    ("F1", "shows all keys"),
)


class Welcome(Static):
    def __init__(self) -> None:
        title = Content.assemble(("◆ ", "$accent"), ("Ask anything.", "bold"), " It stays on this machine.")
        lines = [Content.assemble((f"{key:<6}", "$accent"), (f" {words}", "$text-muted")) for key, words in _HINTS]
        super().__init__(Content("\n").join([title, Content(""), *lines]))
