"""The bottom line: the keys of the commands that make sense now, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.commands import Command
from tui.widgets.signals import CommandWanted


class Footer(Widget):
    """A click on a command does it."""

    commands: reactive[Sequence[Command]] = reactive((), always_update=False)

    def render(self) -> Content:
        words = [_word(command) for command in self.commands]
        while len(words) > 1 and sum(word.cell_length + 2 for word in words) - 2 > self.content_size.width:
            del words[-2]  # the last one is the help
        return Content("  ").join(words)

    def on_click(self, event: Click) -> None:
        if message := clicked(event):
            self.post_message(message)


def _word(command: Command) -> Content:
    word = Content.assemble((key(command.keys[0]), "$accent"), f" {command.footer}")
    return word.stylize(wanted(command.name))


def wanted(command: str) -> Style:
    """Of words that a click on does the command; `clicked` finds it again. Links would lose their own colours."""
    return Style.from_meta({"command": command})


def clicked(event: Click) -> CommandWanted | None:
    name = event.style.meta.get("command")
    return CommandWanted(name) if isinstance(name, str) else None


def key(name: str) -> str:
    """`^N` for `ctrl+n`, `F1` for `f1`."""
    if name.startswith("ctrl+"):
        return "^" + name.removeprefix("ctrl+").upper()
    return {"escape": "Esc", "enter": "Enter"}.get(name, name.upper() if len(name) <= 3 else name.title())
