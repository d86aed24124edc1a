"""The bottom line: what the keys do where the focus is, then the commands that make sense, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.commands import Command, written
from tui.widgets.signals import CommandWanted


class Footer(Widget):
    """A click on a command does it. `here` are keys, as Textual names them, and words for what they do to a message."""

    commands: reactive[Sequence[Command]] = reactive((), always_update=False)
    here: reactive[Sequence[tuple[str, str]]] = reactive((), always_update=False)

    def render(self) -> Content:
        words = [Content.assemble((written(name), "$accent"), f" {word}") for name, word in self.here]
        words += [_word(command) for command in self.commands]
        while len(words) > 1 and sum(word.cell_length + 2 for word in words) - 2 > self.content_size.width:
            del words[-2]  # the last one is the help
        return Content("  ").join(words)

    def on_click(self, event: Click) -> None:
        if message := clicked(event):
            self.post_message(message)


def _word(command: Command) -> Content:
    word = Content.assemble((written(command.keys[0]), "$accent"), f" {command.footer}")
    return word.stylize(wanted(command.name))


def wanted(command: str) -> Style:
    """Of words that a click on does the command; `clicked` finds it again. Links would lose their own colours."""
    return Style.from_meta({"command": command})


def clicked(event: Click) -> CommandWanted | None:
    name = event.style.meta.get("command")
    return CommandWanted(name) if isinstance(name, str) else None
