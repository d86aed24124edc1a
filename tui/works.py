"""What works behind the screen: store, controller, models and dialogs; imported and put in after the first paint."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from edgellm.errors import EdgeLLMError
from tui import opening
from tui.actions import Actions
from tui.composer import Composer
from tui.controller import Controller
from tui.dialogs import Dialogs
from tui.hearing import Hearing
from tui.model_choice import ModelChoice
from tui.notices import (
    ChatChanged,
    ChatShown,
    Deleted,
    ListChanged,
    Notice,
    Outgrown,
    StateChanged,
    Summarized,
    TextAdded,
)
from tui.opening import Cancelled, Progress
from tui.serving import Serving
from tui.store import chats, presets
from tui.store.refusal import Closed
from tui.store.store import Store
from tui.styles.themes import NAMES
from tui.submitting import Submitting
from tui.suggesting import Suggesting

if TYPE_CHECKING:
    from tui.app import ChatApp


class Works:
    """Everything is done through the `Controller`; what it tells is handed to the screen, in order."""

    def __init__(self, app: ChatApp) -> None:
        start, screen = app.start, app.chat_screen
        self._app = app
        self._screen = screen
        self._hearing = Hearing(screen)
        self._heard: asyncio.Queue[Notice] = asyncio.Queue()
        self._was_opening = False
        app.store = Store(start.folder)
        app.controller = self._controller = Controller(app.store)
        open_model = start.open_model or opening.open_model
        app.models = self._models = ModelChoice(app.controller, start.settings, open_model, self._fetching)
        app.composer = Composer(app.controller, screen.prompt, self._tell)
        app.submitting, app.suggesting = Submitting(app), Suggesting(app)
        app.dialogs, app.actions = Dialogs(app), Actions(app)
        app.serving = Serving(app, start.server() if start.server is not None else None)
        app.models.unused = app.serving.unused

    async def begin(self) -> tuple[str, ...]:
        """Open the store, show a conversation; sentences on what was found amiss. Raises StoreError, RequestError."""
        start = self._app.start
        notes = await self._app.store.open()
        await self._restore()
        self._controller.listen(self._heard.put_nowait)
        self._app.run_worker(self._hear(), group="hear")
        if not (start.resume and await self._controller.resume_last()):
            await self._controller.new()
        if start.options:
            await self._controller.configure(**start.options)
        return notes

    async def _restore(self) -> None:
        kept = await self._app.store.read(presets.preferences)
        if kept.get("theme") in NAMES:
            self._app.theme = str(kept["theme"])
        self._screen.set_class(kept.get("list") is False, "-no-list")
        if self._app.start.any_model and isinstance(kept.get("model"), str):
            self._screen.header.model = str(kept["model"])
        await self._app.composer.remember()

    def use(self, name: str) -> None:
        """Answer with the model `name` as soon as it is there; until then the one before goes on."""
        if self._controller.model is None:
            self._screen.header.model = name
        self._screen.show_notice("")
        self._app.run_worker(self.take(name), group="opening")

    async def take(self, name: str) -> None:
        """Returns when it is there, or why not is told."""
        try:
            if not await self._models.take(name):
                return
        except Exception as error:
            self._failed_to_open(error)
            return
        model = self._controller.model
        assert model is not None
        self._app.serving.use(model)
        self._screen.header.model = model.info.name
        self._app.remember("model", name)
        self._app.update_commands()

    def _fetching(self, progress: Progress | None) -> None:
        """How far the model that is wanted is; None: it is there, or given up."""
        if self._was_opening != (progress is not None):
            self._was_opening = progress is not None
            self._app.update_commands()
        self._screen.show_fetching(progress)

    def _failed_to_open(self, error: Exception) -> None:
        if self._controller.model is not None:
            self._screen.header.model = self._controller.model.info.name
        if isinstance(error, Cancelled):
            self._app.notify(str(error), markup=False)
        elif isinstance(error, EdgeLLMError):
            self._screen.show_notice(f"✗ {error}  ^O chooses another model.", error=True)
        else:
            self._screen.show_notice(f"✗ {type(error).__name__}: {error}. This is a bug in edgellm.", error=True)

    async def _hear(self) -> None:
        while True:
            notice = await self._heard.get()
            with contextlib.suppress(Closed):
                await self._heard_of(notice)

    async def _heard_of(self, notice: Notice) -> None:
        app = self._app
        if app.leaving:
            return
        await self._hearing.hear(notice)
        if isinstance(notice, TextAdded):
            return
        if isinstance(notice, ChatShown | StateChanged | ListChanged | ChatChanged | Deleted):
            app.update_commands()
        if isinstance(notice, ChatShown | ListChanged | ChatChanged):
            await self.show_list()
        match notice:
            case ChatShown(chat=shown):
                await app.composer.begin()
                if shown is not None:
                    app.remember("shown", shown.id)
            case Deleted(chat=chat):
                app.notify(f"Deleted “{chat.title}”. F8 brings it back.", timeout=8, markup=False)
                app.update_commands()
            case Outgrown():
                app.dialogs.outgrown(notice)
            case Summarized():
                app.dialogs.summary(notice)
            case StateChanged(state="idle"):
                app.do(self._models.retire())

    async def show_list(self) -> None:
        """Show what conversations there are."""
        shown = self._controller.chat.id if self._controller.chat is not None else None
        self._screen.show_chats(await self._app.store.read(chats.listing), shown)

    def warm(self) -> None:
        """In a thread: import what the first answer is drawn with."""
        from tui.widgets import answer, colouring, feed

        feed.Feed().feed("")
        colouring.Colouring().lines("", "python")
        assert answer

    async def close(self, *, begun: bool) -> None:
        """Keep everything, give the model's memory back."""
        with contextlib.suppress(EdgeLLMError):
            if begun:
                await self._app.composer.keep_last()
                await self._controller.close()
        await self._app.serving.close()
        await self._models.close()
        await self._app.store.close()

    def _tell(self, words: str) -> None:
        self._app.notify(words, severity="warning", timeout=8, markup=False)
