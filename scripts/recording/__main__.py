"""Records the chat app with a real model: `python -m scripts.recording MODEL FILE.svg` drew docs/tui-session.svg.

A person asks for code, stops the answer, has it written again, looks at both, and asks on. Nothing is made up: words
and speed are the model's, on the machine at hand. Only where nothing happens for long is time left out.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.segment import Segment
from textual._compositor import LayoutUpdate
from textual.pilot import Pilot

from edgellm import config
from edgellm.runtime import assemble
from scripts.recording.film import Film
from tui.app import ChatApp
from tui.start import Start
from tui.widgets.answer import Answer

SIZE = (104, 30)
LOOK_S, KEY_S, LONGEST_S = 0.15, 0.045, 1.2
"""Between two looks, between two keys of the person, and the longest that nothing happens in the film."""
TOKENS = 230
"""Tokens of an answer: nobody watches for ever."""
FIRST = "Write a Python function that merges overlapping intervals."
SECOND = "Now explain it in three short points."


class Camera:
    """Looks at the app until it is told to stop."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self.film = Film(*SIZE, background="#16171a")
        self._running = True

    async def run(self) -> None:
        before = time.monotonic()
        screen = self._screen()
        while self._running:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            seen = self._screen()
            if seen != screen:
                self.film.add(screen, min(now - before, LONGEST_S))
                screen, before = seen, now
        self.film.add(screen, 3.0)

    def stop(self) -> None:
        self._running = False

    def _screen(self) -> list[list[Segment]]:
        """All that is shown, row by row; `App.export_screenshot` looks in the same way."""
        stack = self._app._background_screens
        update = self._app.screen._compositor.render_update(full=True, screen_stack=stack, simplify=True)
        assert isinstance(update, LayoutUpdate)
        return [[segment for strip in row for segment in strip] for row in update.strips]


class Person:
    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self._app, self._pilot = app, pilot

    async def type(self, text: str) -> None:
        for letter in text:
            self._app.chat_screen.prompt.insert(letter)
            await asyncio.sleep(KEY_S)
        await asyncio.sleep(0.4)
        await self._pilot.press("enter")

    async def press(self, key: str, then_s: float = 0.8) -> None:
        await self._pilot.press(key)
        await asyncio.sleep(then_s)

    async def until(self, predicate: Callable[[], bool]) -> None:
        while not predicate():  # noqa: ASYNC110 the app has no event for it
            await asyncio.sleep(LOOK_S)

    async def over(self) -> None:
        """The answer is there, and the title of the conversation."""
        await self.until(lambda: self._app.controller.state == "idle")
        await self._app.controller.settled()
        await asyncio.sleep(1.0)

    async def live(self) -> None:
        """From the first question to the last look."""
        app = self._app
        await self.until(lambda: app.controller.state == "idle" and app.controller.model is not None)
        await asyncio.sleep(1.0)
        await self.type(FIRST)
        await self.until(lambda: "```" in _last(app) and _last(app).count("\n") > 9)
        await self.press("escape", 1.2)
        await self.press("ctrl+r")
        await self.over()
        list(app.query(Answer))[-1].focus()
        await self.press("left", 1.2)
        await self.press("right", 1.2)
        app.chat_screen.prompt.focus()
        await self.type(SECOND)
        await self.over()


def _last(app: ChatApp) -> str:
    return app.controller.path[-1].text if not (found := list(app.query(Answer))) else found[-1].text


async def record(model: str) -> Film:
    settings = config.load({"model": model})
    with tempfile.TemporaryDirectory() as folder:
        start = Start(
            settings=settings,
            folder=Path(folder),
            open_model=assemble.open_model,
            any_model=False,
            max_tokens=TOKENS,
        )
        app = ChatApp(start)
        async with app.run_test(size=SIZE) as pilot:
            app.chat_screen.prompt.cursor_blink = False
            camera = Camera(app)
            watching = asyncio.create_task(camera.run())
            await Person(app, pilot).live()
            camera.stop()
            await watching
            await app.action_quit()
    return camera.film


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a name, or the path of a GGUF file")
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    film = asyncio.run(record(asked.model))
    asked.file.write_text(film.svg(), encoding="utf-8")
    print(f"{asked.file}: {len(film)} screens, {asked.file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
