"""The bottom line: the keys of the commands that make sense now, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.commands import Command


class Footer(Widget):
    commands: reactive[Sequence[Command]] = reactive((), always_update=False)

    def render(self) -> Content:
        words = [_word(command) for command in self.commands]
        while len(words) > 1 and sum(word.cell_length + 2 for word in words) - 2 > self.content_size.width:
            del words[-2]  # the last one is the help
        return Content("  ").join(words)


def _word(command: Command) -> Content:
    word = Content.assemble((key(command.keys[0]), "$accent"), f" {command.footer}")
    return word.stylize(Style.from_meta({"@click": f"app.command('{command.name}')"}))


def key(name: str) -> str:
    """`^N` for `ctrl+n`, `F1` for `f1`."""
    if name.startswith("ctrl+"):
        return "^" + name.removeprefix("ctrl+").upper()
    return {"escape": "Esc", "enter": "Enter"}.get(name, name.upper() if len(name) <= 3 else name.title())
