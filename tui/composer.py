"""What is being written: a message, or an earlier one in other words; its draft is kept, its tokens are counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from edgellm.errors import EdgeLLMError
from tui.controller import Controller
from tui.mentions import Mentions
from tui.store import drafts
from tui.store.records import Attachment, Entry
from tui.widgets.prompt import Prompt
from tui.widgets.suggestions import Suggestion

IMPORT = "/import "
UNKNOWN, NEW = -2, -1
"""In place of a conversation's id: none was shown yet; one that is not stored yet."""


class Composer:
    """Belongs to the conversation shown; `editing` is the message that is written anew, if one is. `tell` hears what
    became of a message otherwise than it may have been meant."""

    def __init__(self, controller: Controller, prompt: Prompt, tell: Callable[[str], None]) -> None:
        self._controller = controller
        self._prompt = prompt
        self._tell = tell
        self._mentions = Mentions(Path.cwd())
        self._chat = UNKNOWN
        self._between = 0
        self._here = asyncio.Event()
        """Set while the conversation that is meant is the one that is shown, with its unsent words."""
        self.editing: int | None = None

    def set_aside(self) -> Coroutine[Any, Any, None]:
        """Another conversation is going to be shown: from here on, what is typed belongs to that one.

        Awaiting what is returned keeps the unsent words of this one. `arrive` ends it, whatever came of it.
        """
        # Before this one's draft is back in the prompt, what stands there is only what was typed since: it goes along.
        first = self._between == 0 and self._here.is_set()
        text = self._prompt.text if first and self.editing is None else None
        place = self._place()
        self._between += 1
        self._here.clear()
        if first:
            self._prompt.fill("")

        async def keep() -> None:
            if text is not None:
                await self._controller.store.write(drafts.save, place, text)

        return keep()

    async def arrive(self) -> None:
        self._between -= 1
        if not self._between:
            self._chat = UNKNOWN
            await self.begin()

    async def begin(self) -> None:
        """A conversation is shown: its unsent words come back, unless it was shown before (in another branch).

        What was typed meanwhile stands behind them.
        """
        if self._between or self._chat == self._shown():
            return
        self._chat = shown = self._shown()
        self.editing = None
        draft = await self._draft()
        if self._between or not self._chat == self._shown() == shown:  # left again meanwhile
            return
        typed = self._prompt.text
        self._prompt.fill(_behind(draft, typed))
        self._here.set()
        if typed:
            await self.keep_draft()

    def _shown(self) -> int:
        return self._controller.chat.id if self._controller.chat is not None else NEW

    async def remember(self) -> None:
        """Have what was sent before at the arrow keys."""
        sent = await self._controller.store.read(drafts.history)
        self._prompt.sent = tuple(reversed(sent))

    async def files(self, text: str) -> list[Suggestion]:
        """The files that may be meant by an `@` at the end of `text`, or by an `/import`."""
        if text.startswith(IMPORT):
            return await self._mentions.exported(text.removeprefix(IMPORT))
        query = self._mentions.typed(text)
        return [] if query is None else await self._mentions.suggestions(query)

    async def send(self, text: str) -> None:
        """Send `text` with the files it names; where that fails, it is in the prompt again. Raises EdgeLLMError."""
        await self._here.wait()
        model = self._controller.model if self._controller.state == "idle" else None
        try:
            attachments = await self._mentions.attachments(text, model)
        except EdgeLLMError:
            self._prompt.fill(text)
            raise
        if missing := await asyncio.to_thread(self._mentions.missing, text):
            self._tell(f"There is no file {', '.join(missing)} here: it was sent as words.")
        editing, self.editing = self.editing, None
        if editing is not None:
            await self._controller.edit(editing, text, attachments or None)
        else:
            await self._controller.send(text, attachments)
        self._chat = self._shown()
        if self._prompt.text:  # typed since; what was sent took the draft with it
            await self.keep_draft()
        await self._controller.store.write(drafts.remember, text)
        await self.remember()

    async def keep(self) -> None:
        """Keep the unsent words, and count them and the files they name."""
        await self.keep_draft()
        text = self._prompt.text
        if self._controller.state == "idle":
            attached: tuple[Attachment, ...] = ()
            with contextlib.suppress(EdgeLLMError):  # told when it is sent
                attached = await self._mentions.attachments(text, None)
            await self._controller.measure(text, attached)

    async def keep_draft(self) -> None:
        if self.editing is None and self._here.is_set():
            await self._controller.store.write(drafts.save, self._place(), self._prompt.text)

    async def keep_last(self) -> None:
        """As `keep_draft`, at the end: also where the draft is not back in the prompt yet."""
        if self._here.is_set() or self._between:
            await self.keep_draft()
        elif self._prompt.text:
            text = _behind(await self._draft(), self._prompt.text)
            await self._controller.store.write(drafts.save, self._place(), text)

    async def _draft(self) -> str:
        """The unsent words of the conversation shown."""
        return await self._controller.store.read(drafts.read, self._place())

    def _place(self) -> int | None:
        return None if self._controller.chat is None else self._controller.chat.id

    def edit(self, entry: Entry) -> None:
        self.editing = entry.id
        self._prompt.fill(entry.text)
        self._prompt.focus()

    async def leave(self) -> bool:
        """Give the editing up, if there is any."""
        if self.editing is None:
            return False
        self.editing = None
        self._prompt.fill(await self._draft())
        return True


def _behind(draft: str, typed: str) -> str:
    """What was typed behind the words that were there before."""
    return typed if typed.startswith(draft) else "\n".join(words for words in (draft, typed) if words)
