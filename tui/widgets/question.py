"""A message of the user, as it was typed, with its files and branches."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from tui.painting import Laid
from tui.store.records import Entry
from tui.widgets import branch
from tui.widgets.document import Line
from tui.widgets.figures import tokens
from tui.widgets.markdown import Lines
from tui.widgets.prompt import MARK
from tui.widgets.prose import ProseText
from tui.widgets.signals import CopyWanted, EditWanted, SwitchWanted


class Question(Laid, Vertical, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit and send again"),
        Binding("c", "copy", "Copy"),
        Binding("left", "switch(-1)", "Branch before"),
        Binding("right", "switch(1)", "Branch after"),
    ]

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry

    def compose(self) -> ComposeResult:
        yield ProseText([_words(self.entry.text)])
        if self.entry.attachments or self.entry.of > 1:
            yield Static(self._below(), classes="meta")

    def _below(self) -> Content:
        files = [
            f"▣ {file.name}" + (f" · {tokens(file.tokens)} tok" if file.tokens is not None else "")
            for file in self.entry.attachments
        ]
        shown = [Content("   ".join(files))] if files else []
        return Content("   ").join([*branch.marker(self.entry), *shown])

    def action_edit(self) -> None:
        self.post_message(EditWanted(self.entry.id))

    def action_copy(self) -> None:
        self.post_message(CopyWanted(self.entry.text, "message"))

    def on_click(self, event: Click) -> None:
        if step := branch.step(event):
            event.stop()
            self.action_switch(step)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.entry.of > 1 if action == "switch" else True

    def action_switch(self, step: int) -> None:
        if self.entry.of > 1:
            self.post_message(SwitchWanted(self.entry.id, step))


def _words(text: str) -> Lines:
    mark, rest = Content.styled(f"{MARK} ", "$accent bold"), Content("  ")
    return Lines(tuple(Line(Content(line), rest if i else mark, rest) for i, line in enumerate(text.split("\n"))))
