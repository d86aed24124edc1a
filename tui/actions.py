"""What each command does: one method for each name in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgellm.errors import RequestError
from tui.styles.themes import NAMES, opposite

if TYPE_CHECKING:
    from tui.app import ChatApp


class Actions:
    """Those whose command takes an argument get it as a string, "" if none was given. Raises EdgeLLMError."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app

    async def stop(self) -> None:
        if self._app.controller.summing or self._app.controller.state in ("streaming", "stopping"):
            await self._app.controller.stop()

    def new(self) -> None:
        self._app.show(self._app.controller.new())
        self._app.chat_screen.prompt.focus()

    async def regenerate(self) -> None:
        await self._app.controller.regenerate()

    def edit(self) -> None:
        if last := [entry for entry in self._app.controller.path if entry.speaker == "user"]:
            self._app.edit(last[-1])

    async def copy(self) -> None:
        if last := [entry for entry in self._app.controller.path if entry.speaker == "assistant"]:
            await self._app.copy(last[-1].text, "answer")

    async def retry(self) -> None:
        model = self._app.controller.model
        if model is None:
            self._app.use(self._app.chat_screen.header.model)
            return
        if self._app.serving.elsewhere(model):  # the other server may be gone, and the model is had here instead
            await self._app.take(self._app.chat_screen.header.model)
        await self._app.controller.retry()

    async def pin(self) -> None:
        if self._app.controller.chat is not None:
            await self._app.controller.pin(not self._app.controller.chat.pinned)

    def delete(self) -> None:
        self._app.show(self._app.controller.delete())

    def undo(self) -> None:
        self._app.show(self._app.controller.undo())

    async def rename(self, title: str) -> None:
        if title:
            await self._app.controller.rename(title)
        elif self._app.controller.chat is not None:
            self._app.dialogs.rename(self._app.controller.chat.title)

    def search(self, words: str) -> None:
        self._app.dialogs.search(words)

    def models(self, name: str) -> None:
        if name:
            self._app.use(name)
        else:
            self._app.dialogs.models()

    def cancel(self) -> None:
        self._app.models.cancel()
        if self._app.controller.model is None:
            name = self._app.chat_screen.header.model
            words = f"Gave {name} up; what is there of it is kept. /retry goes on with it   ^O takes another model"
            self._app.chat_screen.show_notice(words)

    async def uncut(self) -> None:
        await self._app.controller.uncut()
        self._app.notify("The model is given the whole conversation again.", markup=False)

    def settings(self) -> None:
        self._app.dialogs.settings()

    async def preset(self, name: str) -> None:
        if name:
            await self._app.dialogs.take_preset(name)
        else:
            self._app.dialogs.settings()

    async def server(self, wanted: str) -> None:
        await self._app.serving.asked(wanted)

    def help(self) -> None:
        self._app.dialogs.help()

    async def export(self, name: str) -> None:
        await self._app.dialogs.export(name)

    def import_(self, name: str) -> None:
        if name:
            self._app.show(self._app.dialogs.take_in(name))
        else:  # the files that can be meant are offered behind it
            self._app.chat_screen.prompt.begin("/import ")

    def sidebar(self) -> None:
        hidden = not self._app.chat_screen.has_class("-no-list")
        self._app.chat_screen.set_class(hidden, "-no-list")
        self._app.remember("list", not hidden)

    async def switch_theme(self, name: str) -> None:
        if name and name.lower() not in NAMES:
            raise RequestError(f"There is no theme {name}. There are: {', '.join(NAMES)}.")
        self._app.theme = name.lower() or opposite(self._app.theme)
        self._app.remember("theme", self._app.theme)

    def command_palette(self) -> None:
        self._app.action_command_palette()

    async def quit(self) -> None:
        await self._app.action_quit()
