"""Finds words in all conversations while they are typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static

from tui.screens.dialog import Dialog
from tui.store import search
from tui.store.records import Hit
from tui.store.store import Store
from tui.widgets.figures import age
from tui.widgets.prompt import MARK
from tui.widgets.spaced_list import SpacedList, row_of

PAUSE_S = 0.12
"""After the last key, before the search begins."""


@dataclass(frozen=True)
class Found:
    """`entry` None: the conversation's title matched."""

    chat: int
    entry: int | None


class SearchScreen(Dialog[Found]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(self, store: Store, words: str = "") -> None:
        super().__init__()
        self._store = store
        self._words = words
        self._hits: tuple[Hit, ...] = ()
        self._timer: Timer | None = None
        self._list = SpacedList()
        self._hint = Static("Type words; all of them must occur.", classes="hint")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield Static("Search conversations", classes="title")
            yield Input(self._words, placeholder="Words")
            yield self._list
            yield self._hint

    def on_mount(self) -> None:
        self._list.can_focus = False
        if self._words:
            self._later()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._words = event.value
        self._later()

    def _later(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._begin)

    def _begin(self) -> None:
        work: Any = self._find
        self.run_worker(work, exclusive=True)

    async def _find(self) -> None:
        self._hits = await self._store.write(search.find, self._words)
        self._list.show(map(_row, self._hits))
        count = len(self._hits)
        found = f"{count} found   ↑ ↓ choose   Enter opens   Esc closes" if count else "Nothing found."
        self._hint.update(found if self._words.strip() else "Type words; all of them must occur.")

    def action_move(self, step: int) -> None:
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if (chosen := self._list.chosen) is not None:
            self._choose(chosen)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(row_of(event.option))

    def _choose(self, index: int) -> None:
        hit = self._hits[index]
        self.dismiss(Found(hit.chat, hit.entry))


def _row(hit: Hit) -> Content:
    """Title, age, and the words around the match."""
    found = Content(hit.snippet).stylize("bold" if hit.entry is None else "$text-muted")
    for start, end in hit.ranges:
        found = found.stylize("bold $accent not dim", start, end)
    when = Content.styled(f"  {age(hit.created)}", "$text-muted")
    if hit.entry is None:
        return found + when
    who = {"user": f"{MARK} ", "tool": "↳ "}.get(hit.speaker or "", "")
    title = Content.styled(hit.title or "New chat", "bold") + when
    return Content("\n").join([title, Content.styled(who, "$accent") + found])
