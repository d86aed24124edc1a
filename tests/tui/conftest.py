"""Starts the app headless, or its controller alone, with conversations in a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from textual.pilot import Pilot

from edgellm.config import Settings
from edgellm.model import Model
from tests.doubles.scripted_model import ScriptedModel
from tui.app import ChatApp
from tui.controller import Controller
from tui.notices import Notice
from tui.start import Start
from tui.store.store import Store

WAIT_S = 20.0

T = TypeVar("T")


async def wait_until(pilot: Pilot[None], predicate: Callable[[], bool]) -> None:
    """Let the app work until `predicate` holds."""
    async with asyncio.timeout(WAIT_S):
        while not predicate():
            await pilot.pause(0.01)
    await pilot.pause()


class Running:
    """The app under test and what drives it."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, predicate: Callable[[], bool]) -> None:
        await wait_until(self.pilot, predicate)

    async def steady(self, look: Callable[[], T]) -> T:
        """What `look` gives once it gives the same three times: layouts settle over several paints."""
        seen = [look()]
        async with asyncio.timeout(WAIT_S):
            while len(seen) < 3 or not seen[-1] == seen[-2] == seen[-3]:
                await self.pilot.pause(0.05)
                seen.append(look())
        return seen[-1]

    async def ready(self) -> None:
        app = self.app
        await self.until(lambda: app.begun and app.controller.model is not None and app.controller.state == "idle")

    async def type(self, text: str) -> None:
        self.app.chat_screen.prompt.insert(text)
        await self.pilot.pause()

    async def say(self, text: str) -> None:
        """Send `text` and wait for the whole answer."""
        count = len(self.app.controller.path)
        await self.type(text)
        await self.pilot.press("enter")
        await self.until(lambda: len(self.app.controller.path) >= count + 2)
        await self.ready()
        await self.settled()

    async def settled(self) -> None:
        await self.app.controller.settled()
        await self.until(lambda: not any(answer.live for answer in self.app.chat_screen.messages.answers))

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(entry.speaker, entry.text) for entry in self.app.controller.path]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open, in a folder of its own."""
    opened = Store(tmp_path / "conversations")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def chat(store: Store) -> Any:
    controller = Controller(store)
    heard: list[Notice] = []
    controller.listen(heard.append)
    controller.heard = heard  # type: ignore[attr-defined]
    yield controller
    await controller.close()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., object]:
    """`async with start(model, size=..., resume=...) as running`."""

    @asynccontextmanager
    async def run(
        model: Model | None = None, *, size: tuple[int, int] = (120, 36), **options: object
    ) -> AsyncIterator[Running]:
        answering = model or ScriptedModel([["Fine", ", ", "thanks."]], name="tiny")
        values: dict[str, object] = {"open_model": lambda name, settings, report: answering, **options}
        if (server := options.get("server")) is not None:
            values["server"] = lambda: server
        app = ChatApp(Start(settings=Settings(), folder=tmp_path / "chats", **values))  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            running = Running(app, pilot)
            await running.until(lambda: hasattr(app, "controller"))
            yield running
            if app.is_running:
                await app.action_quit()

    return run
