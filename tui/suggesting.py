"""What is offered above the prompt while it is typed: commands, the arguments of some, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.app import ChatApp
    from tui.widgets.suggestions import Suggestion


class Suggesting:
    def __init__(self, app: ChatApp) -> None:
        self._app = app

    async def offer(self, text: str) -> None:
        """Show what may be meant by the prompt's `text`, unless that has changed meanwhile."""
        from tui import slash

        offered = slash.suggestions(text, self._app.situation) or await self._arguments(text)
        screen = self._app.chat_screen
        screen.suggest(offered if screen.prompt.text == text else ())

    async def _arguments(self, text: str) -> list[Suggestion]:
        from tui import slash
        from tui.store import presets
        from tui.styles.themes import NAMES

        if text.startswith(slash.THEME):
            return slash.named(text, slash.THEME, NAMES)
        if text.startswith(slash.PRESET):
            kept = await self._app.store.read(presets.listing)
            return slash.named(text, slash.PRESET, [each.name for each in kept])
        return await self._app.composer.files(text)
