"""Gives a conversation a title by the model, in the background, after an answer; whatever else is asked comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgellm.model import Model
from tui import prompting, side_requests
from tui.store import chats, cuts, entries
from tui.store.records import Chat, Entry
from tui.store.store import Store


class Titling:
    """One title at a time; `changed` hears of the conversation that got one."""

    def __init__(self, store: Store, changed: Callable[[Chat], None]) -> None:
        self._store = store
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def begin(self, model: Model, answer: Entry) -> None:
        """Unless the conversation of `answer` has a title already."""
        if not self.running:
            self._task = asyncio.create_task(self._try(model, answer))

    async def cancel(self) -> None:
        """Make way at once; the next answer tries again."""
        if self._task is not None:
            self._task.cancel()
            await self.settled()

    async def settled(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _try(self, model: Model, answer: Entry) -> None:
        try:
            await self._title(model, answer)
        except Exception:  # the first words stay the title: nobody asked for this one, so nobody hears of it
            return

    async def _title(self, model: Model, answer: Entry) -> None:
        chat = await self._store.read(chats.get, answer.chat)
        if chat.title_source != "first words":
            return
        path = await self._store.read(entries.path_to, answer.id)
        cut = await self._store.read(cuts.latest, [entry.id for entry in path])
        title = await side_requests.title(model, prompting.conversation(path, chat.options, cut))
        if title:
            self._changed(await self._store.write(chats.set_title, chat.id, title, "model"))
