"""Chats without end, as a process that a test kills: types, sends, streams, deletes; prints what it was promised.

Run as `python -m tests.doubles.killed_chat FOLDER SEED`. A line is printed once its promise was given.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from edgellm.events import Event, Finished, Started, Text, Timings, Usage
from edgellm.request import ChatRequest
from tests.doubles.scripted_model import ScriptedModel
from tui import answering
from tui.controller import Controller
from tui.store import drafts, entries
from tui.store.store import Store


class Stream(ScriptedModel):
    """Writes `p0 p1 p2 ...` for a while."""

    def __init__(self) -> None:
        super().__init__([["unused"]])

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        yield Started(prompt_tokens=1, cached_tokens=0)
        for number in range(200):
            await asyncio.sleep(0.002)
            yield Text(f"p{number} ")
        yield Finished("stop", Usage(), Timings())


class Promises(Store):
    """Prints how much of which answer was saved."""

    async def write(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = await super().write(operation, *args, **kwargs)
        if operation is entries.save:
            promise("saved", args[0], len(args[1].text))
        return result


def promise(*words: object) -> None:
    print(*words, flush=True)


def slow_save(connection: Connection) -> None:
    """Nothing; a transaction that a kill can hit while others wait."""
    connection.execute("UPDATE chats SET updated = updated")


def id_of(chat: Controller) -> int | None:
    return None if chat.chat is None else chat.chat.id


async def main(folder: Path, seed: int) -> None:
    answering.SAVED_EACH_S = 0.02
    chance = random.Random(seed)
    store = Promises(folder)
    await store.open()
    chat = Controller(store)
    await chat.use(Stream())
    await chat.resume_last()
    promise("ready")
    for number in range(1_000_000):
        text = f"{seed}-{number}"
        for length in range(1, 4):
            await store.write(drafts.save, id_of(chat), text[: -length or None])
        await store.write(drafts.save, id_of(chat), f"draft of {text}")
        promise("draft", chat.chat.id if chat.chat else 0, f"draft of {text}")
        await chat.send(text)
        assert chat.chat is not None
        promise("sent", chat.chat.id, text)
        await asyncio.sleep(chance.random() * 0.3)
        await act(chance, chat, store)


async def act(chance: random.Random, chat: Controller, store: Store) -> None:
    """Something that is not sending."""
    assert chat.chat is not None
    match chance.randrange(5):
        case 0:
            await chat.new()
        case 1:
            gone = chat.chat.id
            await chat.delete()
            promise("deleted", gone)
        case 2:
            await chat.regenerate()
        case 3:
            await chat.edit(chat.path[0].id, chat.path[0].text)
        case _:
            await store.write(slow_save)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
