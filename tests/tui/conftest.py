"""Starts the app headless, with a scripted model and conversations in a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from edgellm.config import Settings
from edgellm.model import Model
from tests.doubles.scripted_model import ScriptedModel
from tui.app import ChatApp
from tui.start import Start

WAIT_S = 20.0


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

    async def ready(self) -> None:
        await self.until(lambda: self.app.controller.model is not None and self.app.controller.state == "idle")

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
def start(tmp_path: Path) -> Callable[..., object]:
    """`async with start(model, size=..., resume=...) as running`."""

    @asynccontextmanager
    async def run(
        model: Model | None = None, *, size: tuple[int, int] = (120, 36), **options: object
    ) -> AsyncIterator[Running]:
        answering = model or ScriptedModel([["Fine", ", ", "thanks."]], name="tiny")
        values: dict[str, object] = {"open_model": lambda name, settings, report: answering, **options}
        app = ChatApp(Start(settings=Settings(), folder=tmp_path / "chats", **values))  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            running = Running(app, pilot)
            yield running
            if app.is_running:
                await app.action_quit()

    return run
