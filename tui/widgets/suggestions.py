"""Commands for `/` and files for `@`, above the prompt, while one of them is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

MOST = 8


@dataclass(frozen=True)
class Suggestion:
    """`text` is what replaces the typed word; `beside` explains it."""

    text: str
    beside: str = ""


class Suggestions(OptionList, can_focus=False):
    @dataclass
    class Chosen(Message):
        text: str
        complete: bool
        """False: more is to be typed (Tab); True: Enter was pressed."""

    def __init__(self) -> None:
        super().__init__(markup=False, compact=True)
        self._offered: Sequence[Suggestion] = ()
        self.display = False

    def offer(self, offered: Sequence[Suggestion]) -> None:
        self._offered = offered[:MOST]
        self.display = bool(offered)
        self.clear_options()
        wide = max((len(one.text) for one in self._offered), default=0)
        self.add_options(
            Option(Content.assemble(f" {one.text:<{wide}}  ", (one.beside, "$text-muted"))) for one in self._offered
        )
        self.highlighted = 0 if offered else None

    def key(self, name: str) -> None:
        match name:
            case "up":
                self.action_cursor_up()
            case "down":
                self.action_cursor_down()
            case "escape":
                self.offer(())
            case _ if self.highlighted is not None:
                self._choose(self.highlighted, name == "enter")

    def _choose(self, index: int, complete: bool) -> None:
        self.post_message(self.Chosen(self._offered[index].text, complete))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option_index, False)
