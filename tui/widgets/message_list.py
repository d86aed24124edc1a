"""The conversation: the messages near the reader are mounted, the others come when the reader scrolls to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from tui.store.records import Entry
    from tui.widgets.answer import Answer

WINDOW = 20
"""Messages that are mounted at first, and more at each end that the reader comes to."""
NEAR = 3
"""Rows from an end at which more is mounted."""
SETTLING = 5
"""Paints within which new messages have found their heights."""
TICK_S = 0.125
FOUND_S = 3.0
"""How long a message stands out that was searched for."""


class MessageList(VerticalScroll, can_focus=False):
    """Stays at the latest words until the reader scrolls away, and where the reader is after that."""

    at_end: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        self._first = 0
        self._last = 0
        self._mounted: dict[int, Widget] = {}
        self._growing = False
        self._left_out = 0

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._tick)

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        """While an answer grows, Textual would lay all of it out a second time for each row."""
        same = (size, container_size) == (self._size, self._container_size)
        bar = virtual_size.height > container_size.height
        if same and bar == self.show_vertical_scrollbar and virtual_size.height >= self.virtual_size.height:
            layout = layout and not any(answer.live for answer in self.answers)
        return super()._size_updated(size, virtual_size, container_size, layout)

    @property
    def answers(self) -> Iterable[Answer]:
        if not self._mounted:
            return []
        from tui.widgets.answer import Answer

        return [widget for widget in self._mounted.values() if isinstance(widget, Answer)]

    def answer(self, entry: int) -> Answer | None:
        """The answer with this id, if it is mounted."""
        from tui.widgets.answer import Answer

        widget = self._mounted.get(entry)
        return widget if isinstance(widget, Answer) else None

    async def show(self, path: Sequence[Entry], entry: int | None = None) -> None:
        """Draw another conversation or branch, from its end, or around the message `entry`.

        Another branch of the same conversation: the focus stays where it was, and the reader too, unless that is the
        last message.
        """
        kept = self._focused(path)
        away = None
        if kept is not None and kept < len(path) - 1:
            away = self._mounted[self._entries[kept].id].region.y - self.region.y
        self._entries = list(path)
        found = next((index for index, one in enumerate(path) if one.id == entry), None if away is None else kept)
        self._last = len(path) if found is None else min(len(path), found + WINDOW // 2)
        self._first = max(0, self._last - WINDOW)
        self._mounted = {one.id: _widget(one) for one in path[self._first : self._last]}
        self._tell_apart()
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all(self._mounted.values() if self._entries else [_welcome()])
            if found is None or self._last == len(path):
                self.anchor()
        if kept is not None and path[kept].id in self._mounted:
            self._mounted[path[kept].id].focus(scroll_visible=False)
        if found is not None and away is not None:
            self.anchor(False)
            self.call_after_refresh(self._put, self._mounted[path[found].id], away)
        elif found is not None:
            self.anchor(False)
            target = self._mounted[path[found].id]
            self.call_after_refresh(self.scroll_to_widget, target, animate=False, top=True)
            target.add_class("-found")
            self.set_timer(FOUND_S, lambda: target.remove_class("-found"))

    def _focused(self, path: Sequence[Entry]) -> int | None:
        """The place of the message that has the focus, if `path` has one of the same conversation there."""
        focused = self.screen.focused
        for index, one in enumerate(self._entries[: len(path)]):
            widget = self._mounted.get(one.id)
            if focused is not None and widget is not None and widget in focused.ancestors_with_self:
                return index if path[index].chat == one.chat else None
        return None

    def _put(self, message: Widget, away: int, tries: int = SETTLING) -> None:
        """Have `message` so many rows below the upper edge, also where the heights above it are known only later."""
        if not message.is_attached or (tries < SETTLING and message.region.y - self.region.y == away):
            return
        self.scroll_to(y=message.virtual_region.y + self.gutter.top - away, animate=False, force=True)
        if tries:
            self.call_after_refresh(self._put, message, away, tries - 1)

    async def add(self, entry: Entry) -> None:
        """A message at the end of what is shown."""
        if not self._entries:
            await self.remove_children()
        whole = self._last == len(self._entries)
        self._entries.append(entry)
        if not whole:  # the reader is far away; the message is mounted when it is come to
            if entry.speaker != "user":
                return
            await self.show(self._entries)
            return
        self._last += 1
        self._mounted[entry.id] = _widget(entry)
        await self.mount(self._mounted[entry.id])
        if entry.speaker == "user":
            self.anchor()

    def leave_out(self, count: int) -> None:
        """The first `count` messages are not given to the model any more; they stay to be read."""
        if count != self._left_out:
            self._left_out = count
            self._tell_apart()

    def _tell_apart(self) -> None:
        gone = {one.id for one in self._entries[: self._left_out]}
        for id, widget in self._mounted.items():
            widget.set_class(id in gone, "-left-out")

    def tells(self, error: str) -> bool:
        """Whether the last message says this already."""
        return bool(self._entries) and self._entries[-1].reply.error == error

    def settle(self, entry: Entry) -> None:
        """`entry` is what was stored of an answer that is over."""
        self._entries = [entry if one.id == entry.id else one for one in self._entries]
        if (answer := self.answer(entry.id)) is not None:
            answer.settle(entry)

    def to_end(self) -> None:
        """Go to the latest words and stay there."""
        if self._last < len(self._entries):
            work: Any = partial(self.show, self._entries)
            self.run_worker(work, exclusive=True, group="messages")
        else:
            self.anchor()

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self.at_end = self.scroll_y >= self.max_scroll_y - 1 and self._last == len(self._entries)
        if self._growing or not self._mounted:
            return
        if new <= NEAR and new < old and self._first > 0:
            self._growing = True
            self.run_worker(self._grow_up(), group="messages")
        elif new >= self.max_scroll_y - NEAR and new > old and self._last < len(self._entries):
            self._growing = True
            self.run_worker(self._grow_down(), group="messages")

    async def _grow_up(self) -> None:
        first = max(0, self._first - WINDOW)
        more = {one.id: _widget(one) for one in self._entries[first : self._first]}
        height = self.virtual_size.height
        self._first, self._mounted = first, {**more, **self._mounted}
        self._tell_apart()
        with self.app.batch_update():
            await self.mount_all(more.values(), before=0)

        def keep() -> None:
            self.scroll_to(y=self.scroll_y + self.virtual_size.height - height, animate=False, force=True)
            self._growing = False

        self.call_after_refresh(keep)

    async def _grow_down(self) -> None:
        last = min(len(self._entries), self._last + WINDOW)
        more = {one.id: _widget(one) for one in self._entries[self._last : last]}
        self._last, self._mounted = last, {**self._mounted, **more}
        self._tell_apart()
        await self.mount_all(more.values())
        self._growing = False

    def _tick(self) -> None:
        live = [answer for answer in self.answers if answer.live]
        if live:
            for answer in live:
                answer.draw(animated=self.app.animation_level != "none")


def _widget(entry: Entry) -> Widget:
    """Imported when the first one is drawn, which is after the first paint."""
    from tui.widgets.answer import Answer
    from tui.widgets.question import Question
    from tui.widgets.tool_calls import ToolResults

    match entry.speaker:
        case "user":
            return Question(entry)
        case "assistant":
            return Answer(entry)
        case "tool":
            return ToolResults(entry.results)


def _welcome() -> Widget:
    from tui.widgets.welcome import Welcome

    return Welcome()
