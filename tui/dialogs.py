"""Opens the dialogs over the chat, and does what they return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgellm.errors import RequestError
from tui.notices import Offer, Outgrown, Summarized

if TYPE_CHECKING:
    from tui.app import ChatApp
    from tui.screens.search import Found
    from tui.serving import Serving


class Dialogs:
    """Their screens are imported when they are first opened."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app

    def outgrown(self, notice: Outgrown) -> None:
        from tui.screens.outgrown import OutgrownScreen

        def chosen(offer: Offer | None) -> None:
            if offer is not None:
                self._app.do(self._app.controller.choose(offer))

        self._app.push_screen(OutgrownScreen(notice, self._app.controller.path), chosen)

    def summary(self, notice: Summarized) -> None:
        """Show the summary; only what the person keeps of it is used."""
        from tui.screens.summary import SummaryScreen

        def chosen(words: str | None) -> None:
            if words:
                self._app.do(self._app.controller.choose(notice.offer, words))
            else:
                self._app.chat_screen.show_notice("The summary was not used. Nothing was cut; send again to choose.")

        self._app.push_screen(SummaryScreen(notice), chosen)

    def rename(self, title: str) -> None:
        from tui.screens.rename import RenameScreen

        def chosen(new: str | None) -> None:
            if new:
                self._app.do(self._app.controller.rename(new))

        self._app.push_screen(RenameScreen(title), chosen)

    def search(self, words: str) -> None:
        from tui.screens.search import SearchScreen

        def chosen(found: Found | None) -> None:
            if found is not None:
                self._app.chat_screen.jump_to(found.entry)
                self._app.show(self._app.controller.open(found.chat, found.entry))

        self._app.push_screen(SearchScreen(self._app.store, words), chosen)

    def models(self) -> None:
        from tui.screens.models import ModelsScreen

        def chosen(name: str | None) -> None:
            if name:
                self._app.use(name)

        self._app.push_screen(ModelsScreen(self._app.start.settings, self._app.chat_screen.header.model), chosen)

    def settings(self) -> None:
        from tui.screens.settings import SettingsScreen

        self._app.push_screen(SettingsScreen(self._app.controller))

    def server(self, serving: Serving) -> None:
        from tui.screens.server import ServerScreen

        self._app.push_screen(ServerScreen(serving))

    async def take_preset(self, name: str) -> None:
        """Give the conversation shown the instructions and the sampling of a preset. Raises RequestError."""
        from tui.store import presets

        found = {each.name.lower(): each for each in await self._app.store.read(presets.listing)}
        if (preset := found.get(name.lower())) is None:
            known = ", ".join(each.name for each in found.values()) or "none yet; F3 makes one"
            raise RequestError(f"There is no preset {name}. There are: {known}.")
        await self._app.controller.configure(**presets.changes(preset))
        self._app.notify(f"This conversation follows “{preset.name}”.", markup=False)

    async def export(self, name: str) -> None:
        """The conversation shown, to a file. Raises RequestError."""
        from tui import conversation_files

        chat = self._app.controller.chat
        if chat is None:
            raise RequestError("There is nothing to export yet. Send a message first.")
        path = await conversation_files.export(self._app.store, chat.id, name)
        self._app.notify(f"Written to {path}", timeout=8, markup=False)

    async def take_in(self, name: str) -> None:
        """Conversations from a file. Raises RequestError, StoreError."""
        from tui import conversation_files

        await self._app.controller.open(await conversation_files.take_in(self._app.store, name))

    def help(self) -> None:
        from tui.screens.help import HelpScreen

        self._app.push_screen(HelpScreen())
