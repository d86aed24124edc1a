"""The answers that are being written, at most one a conversation, and what became of those that failed."""

from __future__ import annotations

from collections.abc import Callable

from edgellm.model import Model
from tui import prompting
from tui.answering import Answering
from tui.counting import Prompt
from tui.notices import Notice
from tui.store import entries
from tui.store.records import Chat, Entry, Reply
from tui.store.store import Store


class Answers:
    """`tell` hears what an answer tells, with its conversation; `ended` is called once for each that is over.

    `wanted` are conversations whose last message waits for a model, `errors` what went wrong in which.
    """

    def __init__(
        self, store: Store, tell: Callable[[int, Notice], None], ended: Callable[[Answering, Entry], None]
    ) -> None:
        self._store, self._tell, self._ended = store, tell, ended
        self._running: dict[int, Answering] = {}
        self.wanted: set[int] = set()
        self.errors: dict[int, str] = {}

    @property
    def running(self) -> bool:
        return bool(self._running)

    def of(self, chat: Chat | None) -> Answering | None:
        """The one of this conversation that is being written."""
        return None if chat is None else self._running.get(chat.id)

    async def begin(self, model: Model, chat: Chat, parent: int, prompt: Prompt) -> Entry:
        """Store an empty answer below `parent` and let the model fill it."""
        reply = Reply(model=model.info.name, left_out=prompt.left_out)
        entry = await self._store.write(entries.add, chat.id, parent, "assistant", reply, owner=self._store.owner)
        request = prompting.request(prompt.conversation, chat.options, model.info)
        answering = Answering(self._store, entry, model, request, lambda notice: self._tell(chat.id, notice))
        self._running[chat.id] = answering
        answering.on_end(lambda: self._over(answering))
        return entry

    async def stop(self, chat: int) -> None:
        """End the answer of a conversation, if there is one, and what waits for a model there."""
        self.wanted.discard(chat)
        if running := self._running.get(chat):
            await running.stop()
            self._over(running)

    async def stop_all(self) -> None:
        self.wanted.clear()
        for chat in list(self._running):
            await self.stop(chat)

    async def settled(self) -> None:
        """Wait until none is written."""
        for running in list(self._running.values()):
            await running.ended()

    def _over(self, answering: Answering) -> None:
        entry = answering.now()
        if self._running.get(entry.chat) is answering:
            del self._running[entry.chat]
            if entry.reply.state == "failed":
                self.errors[entry.chat] = entry.reply.error
            self._ended(answering, entry)
