"""The conversations by day, the newest first; the one shown is marked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.widgets.figures import age
from tui.widgets.signals import ChatChosen

if TYPE_CHECKING:
    from tui.store.records import Chat

NARROWEST = 23
UNTITLED = "New chat"


class ChatList(OptionList):
    def __init__(self) -> None:
        super().__init__(markup=False, compact=True)
        self._chats: Sequence[Chat] = ()
        self._shown: int | None = None

    def show(self, chats: Sequence[Chat], shown: int | None) -> None:
        if (chats, shown) != (self._chats, self._shown):
            self._chats, self._shown = chats, shown
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        shown, chats = self._shown, self._chats
        self.clear_options()
        self.add_options(self._rows_by_day())
        marked = str(shown)
        if shown is not None and any(chat.id == shown for chat in chats):
            self.highlighted = self.get_option_index(marked)

    def _rows_by_day(self) -> Iterable[Option]:
        today, now, last = date.today(), time.time(), ""
        for chat in self._chats:
            heading = "PINNED" if chat.pinned else day(chat.updated, today)
            if heading != last:
                above = "\n" if last else ""
                last = heading
                yield Option(Content.styled(f"{above} {heading}", "$text-muted"), disabled=True)
            yield Option(self._row(chat, now), id=str(chat.id))

    def _row(self, chat: Chat, now: float) -> Content:
        when = age(chat.updated, now)
        room = max(NARROWEST, self.content_size.width) - 2 - len(when) - 1
        title = Content(" ".join((chat.title or UNTITLED).split())).truncate(room, ellipsis=True, pad=True)
        mark = Content.styled("▌", "$accent") if chat.id == self._shown else Content(" ")
        style = "bold" if chat.id == self._shown else ""
        return Content.assemble(mark, title.stylize(style) if style else title, (f" {when} ", "$text-muted"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(ChatChosen(int(event.option_id)))


def day(then: float, today: date) -> str:
    """The heading under which a conversation of that time stands."""
    passed = today - datetime.fromtimestamp(then).date()
    if passed <= timedelta(0):
        return "TODAY"
    if passed <= timedelta(1):
        return "YESTERDAY"
    if passed <= timedelta(7):
        return "THIS WEEK"
    return "THIS MONTH" if passed <= timedelta(30) else "OLDER"
