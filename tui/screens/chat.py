"""The main screen: conversations at the left, messages, and the prompt below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Key, Resize
from textual.geometry import Offset, Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui.commands import Command
from tui.painting import RowCompositor
from tui.widgets import figures
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.message_list import MessageList
from tui.widgets.prompt import MARK, Prompt
from tui.widgets.signals import CommandWanted

if TYPE_CHECKING:
    from tui.opening import Progress
    from tui.store.records import Chat, Entry
    from tui.widgets.chat_list import ChatList
    from tui.widgets.suggestions import Suggestion, Suggestions

NARROW, WIDE, SHORT = 100, 150, 16


class ChatScreen(Screen[None]):
    """Knows no controller: what is to be seen is passed in, and the app hears the widgets' messages.

    Its first frame has only what can be used at once; `complete` adds what is empty anyway before there are messages.
    """

    AUTO_FOCUS = "Prompt"
    chats: ChatList
    suggestions: Suggestions

    def __init__(self, model: str, offline: bool) -> None:
        super().__init__()
        self._compositor = RowCompositor()
        self.header = Header()
        self.header.set_reactive(Header.model, model)
        self.header.set_reactive(Header.offline, offline)
        self.messages = MessageList()
        self.prompt = Prompt()
        self.footer = Footer()
        self._fetching = Static(id="fetching")
        self._server = Static(id="server", markup=False)
        self._notice = Static(id="notice", markup=False)
        self._latest = Static("↓ jump to latest", id="latest")
        self._sidebar = Vertical(id="sidebar")
        self._main = Vertical(id="main")
        self._jump: int | None = None

    def compose(self) -> ComposeResult:
        self._fit(self.app.size)
        yield self.header
        with Horizontal(id="middle"):
            yield self._sidebar
            with self._main:
                yield self.messages
                with Horizontal(id="compose"):
                    yield Static(MARK, id="mark")
                    yield self.prompt
        yield self.footer

    async def complete(self) -> None:
        """Returns when all is there."""
        from tui.widgets.chat_list import ChatList
        from tui.widgets.suggestions import Suggestions

        self.chats, self.suggestions = ChatList(), Suggestions()
        with self.app.batch_update():
            await self._sidebar.mount(self.chats, self._fetching, self._server)
            await self._main.mount(self._latest, self._notice, self.suggestions, after=self.messages)
        self.watch(self.messages, "at_end", self._end_changed, init=False)

    def watch_focused(self) -> None:
        """Say below what the keys do here."""
        found = [each.binding for each in self.active_bindings.values() if each.enabled and each.binding.show]
        here = dict.fromkeys((binding.key, binding.description.lower()) for binding in found)
        self.footer.here = (*here, ("escape", "back")) if here else ()

    def on_resize(self, event: Resize) -> None:
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        self.set_class(size.width < NARROW, "-narrow")
        self.set_class(size.width >= WIDE, "-roomy")
        self.set_class(size.height < SHORT, "-short")

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """A widget that was removed a moment ago cannot be clicked (it would end the app)."""
        widget, offset = super().get_widget_and_offset_at(x, y)
        return (widget, offset) if widget is None or widget.is_attached else (None, None)

    def show_commands(self, commands: Sequence[Command]) -> None:
        self.footer.commands = tuple(command for command in commands if command.footer and command.keys)

    def show_chats(self, chats: Sequence[Chat], shown: int | None) -> None:
        self.chats.show(chats, shown)

    def show_fetching(self, progress: Progress | None) -> None:
        """How far the model that is wanted is: below the list; in the top line where there is no list."""
        beside = self.chats.region.width > 0
        self.header.fetching = "" if progress is None or beside else _short(progress)
        self._fetching.update("" if progress is None else _long(progress))

    def show_server(self, address: str | None) -> None:
        """Where the server answers, "" while it is off, None where there is none; the header tells of another's."""
        self.header.serving = (address or "").rpartition("//")[2]
        on = Content.assemble(("● ", "$text-success"), (address or "").rpartition("//")[2])
        words = on if address else Content.styled("○ server off", "$text-muted")
        self._server.update(words)
        self._server.display = address is not None and not self.header.through

    def show_notice(self, text: str, *, error: bool = False) -> None:
        self._notice.update(text)
        self._notice.set_class(bool(text), "-shown")
        self._notice.set_class(error, "-error")

    def jump_to(self, entry: int | None) -> None:
        """The next conversation that is shown is shown around this message."""
        self._jump = entry

    async def show_messages(self, path: Sequence[Entry]) -> None:
        await self.messages.show(path, self._jump)
        self._jump = None

    def _end_changed(self, at_end: bool) -> None:
        self._latest.set_class(not at_end, "-shown")

    def on_suggestions_chosen(self, event: Suggestions.Chosen) -> None:
        event.stop()
        before = self.prompt.text[: -len(self._word())] if self._word() else self.prompt.text
        self.prompt.fill(before + event.text)
        self.suggest(())
        if event.complete and event.text.startswith("/") and not event.text.endswith(" "):
            self.prompt.submit()

    def _word(self) -> str:
        """The last word of the prompt."""
        return self.prompt.text.rsplit(None, 1)[-1] if self.prompt.text and not self.prompt.text[-1].isspace() else ""

    def suggest(self, offered: Sequence[Suggestion]) -> None:
        self.suggestions.offer(offered)
        self.prompt.choosing = bool(offered)

    @on(Prompt.Choosing)
    def _choosing(self, event: Prompt.Choosing) -> None:
        event.stop()
        self.suggestions.key(event.key)
        self.prompt.choosing = bool(self.suggestions.display)

    def on_key(self, event: Key) -> None:
        """Letters that nothing else wants are for the prompt, wherever the focus is."""
        wanted = self.prompt.has_focus or event.key in self.active_bindings
        if event.is_printable and event.character and not wanted:
            event.stop()
            self.set_focus(self.prompt)  # at once: the next letter may be a key of the message that had the focus
            self.prompt.insert(event.character)

    def on_click(self, event: object) -> None:
        match getattr(event, "widget", None):
            case self._latest:
                self.messages.to_end()
            case self._server:
                self.post_message(CommandWanted("server"))
            case self._fetching:
                self.post_message(CommandWanted("cancel"))

    def action_page(self, step: int) -> None:
        if step < 0:
            self.messages.scroll_page_up(animate=False)
        else:
            self.messages.scroll_page_down(animate=False)

    def action_message(self, step: int) -> None:
        """Move the focus among the messages."""
        self.focus_previous(".message") if step < 0 else self.focus_next(".message")


def _short(progress: Progress) -> str:
    if not progress.total:
        return progress.label
    name = progress.label.rpartition(" ")[2].rpartition("/")[2]
    return f"⇣ {progress.done / progress.total:.0%} of {figures.size(progress.total)} {name}"


def _long(progress: Progress) -> Content:
    """In the list's column: what, how far, how fast, how long yet."""
    if not progress.total:
        return Content.assemble((f"◌ {progress.label} …", "$foreground"), "\nF6 cancels")
    part = progress.done / progress.total
    left = (progress.total - progress.done) / progress.per_s if progress.per_s else None
    speed = f"{figures.size(progress.per_s)}/s" if progress.per_s else ""
    rest = f"{int(left) // 60}:{int(left) % 60:02}" if left is not None else ""
    name = progress.label.rpartition(" ")[2]
    return Content("\n").join(
        [
            Content.styled(f"⇣ {name}", "$foreground").truncate(22, ellipsis=True),
            Content.styled(figures.bar(part, 22), "$accent"),
            Content(f"{part:.0%}  {speed}  {rest}"),
            Content("F6 cancels"),
        ]
    )
