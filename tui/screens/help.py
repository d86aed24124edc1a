"""Keys and commands, as the registry has them, and what can be done with a message."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.commands import COMMANDS, Command, written
from tui.screens.dialog import Dialog
from tui.widgets.answer import Answer
from tui.widgets.document import Line
from tui.widgets.markdown import Lines
from tui.widgets.prose import ProseText
from tui.widgets.question import Question

_WRITING = (
    ("Enter", "send"),
    ("Shift+Enter", "new line; Ctrl+J where a terminal cannot tell it from Enter"),
    ("Up, Down", "what was sent before"),
    ("@", "attach a file by its name"),
    ("PgUp, PgDn", "scroll the conversation"),
    ("Ctrl-C", "copy what is selected, or stop the answer; twice: quit"),
)
_COLUMN = 24


class HelpScreen(Dialog[None]):
    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall -wide"):
            yield Static("Help", classes="title")
            with VerticalScroll():
                yield ProseText(list(_blocks()))
            yield Static("Esc closes   ↑ ↓ scroll", classes="hint")


def _blocks() -> Iterable[Lines]:
    yield Lines((Line(_heading("Writing")), *(_row(Content(left), right) for left, right in _WRITING)))
    for group in dict.fromkeys(command.group for command in COMMANDS):
        rows = [_row(_keys(command), command.help) for command in COMMANDS if command.group == group]
        yield Lines((Line(_heading(group)), *rows))
    text = "Tab goes to messages and code, the mouse too. There:"
    yield Lines((Line(_heading("A message")), Line(Content.styled(text, "$text-muted")), *_on_messages()))


def _heading(words: str) -> Content:
    return Content.styled(words, "bold $accent")


def _row(left: Content, right: str) -> Line:
    first = left.pad_right(max(1, _COLUMN - left.cell_length))
    return Line(Content(right), first, Content(" " * _COLUMN))


def _keys(command: Command) -> Content:
    keys = " ".join(written(name) for name in command.keys)
    slash = f"/{command.slash}" if command.slash else ""
    argument = f" {command.argument}" if command.argument else ""
    return Content.assemble((f"{keys:<5}", "bold"), slash, (argument, "$text-muted"))


def _on_messages() -> Iterable[Line]:
    found: dict[str, str] = {}
    for binding in (*Question.BINDINGS, *Answer.BINDINGS):
        if isinstance(binding, Binding):
            found[binding.key] = binding.description
    found["c"] = "Copy the message or the code"
    found["enter"] = "Fold or unfold what the model thought"
    found["escape"] = "Back to the prompt"
    return [_row(Content.styled(written(name), "bold"), words.lower()) for name, words in found.items()]
