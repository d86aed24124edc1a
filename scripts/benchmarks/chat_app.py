"""What the chat app costs: first paint against a bare Textual app, CPU while it streams, a long conversation, keys."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from edgellm.config import Settings
from edgellm.events import Event, Finished, Started, Text, Timings, Usage
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input
from scripts.benchmarks.figures import quantile, spread
from scripts.benchmarks.serving import in_turn
from scripts.benchmarks.table import Row, quantity

TOKENS, PER_S, MESSAGES, KEYS = 600, 60.0, 1000, 100
SIZE = (120, 36)
KEY_S = 0.05
"""Between two keys of somebody who types fast."""
LIMITS = {"prose": 15.0, "code": 20.0, "list": 20.0}
_TEXTS = {
    "prose": "Words follow words in a line of plain prose, and now and then a **bold** one. " * 60,
    "code": "```python\n" + "value = compute(value, 17)  # again\n" * 120 + "```\n",
    "list": "- an item of a list with **some** words and `code`\n" * 80,
}
# A driver, as it is imported by the app itself: nothing of Textual is there before whoever starts the app imports it.
_PAINTED = """
import os, time
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver

ready = App._ready


def painted():
    os.write(1, b"%f\\n" % time.time())
    os._exit(0)


async def hooked(self):
    await ready(self)
    self.call_after_refresh(painted)


App._ready = hooked
"""
_BARE = """
from textual.app import App

App().run()
"""
_OURS = """
import sys
from edgellm.cli.main import main

sys.exit(main([]))
"""
_TERMINAL = {"TEXTUAL_DRIVER": "painted:HeadlessDriver", "COLUMNS": "80", "LINES": "24"}


class Paced:
    """A model that says `tokens`, so many a second."""

    def __init__(self, tokens: list[str], per_s: float = PER_S) -> None:
        self.info = ModelInfo(name="paced", context_length=8192)
        self._tokens = tokens
        self._step = 1 / per_s

    async def start(self) -> None:
        """Nothing to load."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        yield Started(10, 0)
        begin = time.perf_counter()
        for index, token in enumerate(self._tokens):
            await asyncio.sleep(max(0.0, begin + (index + 1) * self._step - time.perf_counter()))
            yield Text(token)
        yield Finished("stop", Usage(10, len(self._tokens)), Timings(predicted_n=len(self._tokens)))

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        return list(range(10))

    async def status(self) -> ModelStatus:
        return ModelStatus()

    async def aclose(self) -> None:
        """Nothing to give back."""


def measure(runs: int) -> tuple[list[Row], dict[str, Any]]:
    """`runs` of each program for the first paint; the rest once each, in this process."""
    with tempfile.TemporaryDirectory(prefix="edgellm-bench-") as directory:
        paint = _first_paints(Path(directory), runs)
        busy = {kind: asyncio.run(_streaming(Path(directory) / kind, kind)) for kind in _TEXTS}
        opening, keys = asyncio.run(_long(Path(directory) / "long"))
    rows = [_paint_row(paint)]
    rows += [_cpu_row(kind, percent) for kind, percent in busy.items()]
    rows.append(
        Row(
            name=f"opening a conversation of {MESSAGES:,} messages",
            ours=quantity(1000 * opening, "ms", 0),
            target="<= 500 ms",
            met=opening <= 0.5,
        )
    )
    slow = quantile(keys, 0.95)
    rows.append(
        Row(
            name="key press until it is drawn, 95th of 100",
            ours=quantity(1000 * slow, "ms", 1),
            target="<= 50 ms",
            met=slow <= 0.05,
        )
    )
    return rows, {"paint_s": paint, "cpu_percent": busy, "opening_s": opening, "keys_s": keys}


def _first_paints(directory: Path, runs: int) -> dict[str, list[float]]:
    scripts = {name: directory / f"{name}_app.py" for name in ("edgellm", "bare")}
    scripts["edgellm"].write_text(_OURS, encoding="utf-8")
    scripts["bare"].write_text(_BARE, encoding="utf-8")
    (directory / "painted.py").write_text(_PAINTED, encoding="utf-8")
    seconds: dict[str, list[float]] = {name: [] for name in scripts}
    for turn in range(runs + 1):
        for name in in_turn(list(scripts), turn):
            passed = _first_paint(scripts[name], directory / "home")
            seconds[name] += [passed] if turn else []  # the first of each warms the disk
    return seconds


def _first_paint(script: Path, home: Path) -> float:
    """Seconds from the start of the process to its first complete frame, on a terminal that is not there."""
    places = {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path[1:]]), "EDGELLM_HOME": str(home)}
    environment = {**os.environ, **places, **_TERMINAL}
    begin = time.time()
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    return float(done.stdout.split()[-1]) - begin


async def _streaming(folder: Path, kind: str) -> float:
    """Percent of a core while the tokens arrive."""
    from tui.app import ChatApp
    from tui.notices import EntrySettled
    from tui.start import Start

    tokens = re.findall(r"\s*\S+\s?", _TEXTS[kind])[:TOKENS]
    model = Paced(tokens)
    gc.disable()  # as the command does; the app turns it on when it is complete
    app = ChatApp(Start(settings=Settings(), folder=folder, open_model=lambda name, settings, report: model))
    async with app.run_test(size=SIZE):
        await _until(lambda: app.begun and app.controller.model is not None and app.controller.state == "idle")
        over = asyncio.Event()
        app.controller.listen(lambda notice: over.set() if isinstance(notice, EntrySettled) else None)
        await asyncio.sleep(0.5)
        cpu, wall = time.process_time(), time.perf_counter()
        await app.controller.send("Write.")
        await over.wait()
        percent = 100 * (time.process_time() - cpu) / (time.perf_counter() - wall)
        await app.controller.settled()
        await app.action_quit()
    return percent


async def _long(folder: Path) -> tuple[float, list[float]]:
    """Seconds until a long conversation is drawn, and until each of some keys is."""
    from tui.app import ChatApp
    from tui.start import Start
    from tui.store import chats, entries
    from tui.store.records import Reply

    model = Paced(["Fine."])
    gc.disable()  # as the command does; the app turns it on when it is complete
    app = ChatApp(Start(settings=Settings(), folder=folder, open_model=lambda name, settings, report: model))
    async with app.run_test(size=SIZE) as pilot:
        await _until(lambda: app.begun and app.controller.model is not None and app.controller.state == "idle")
        chat = await app.store.write(chats.add, "Long")
        parent = None
        for index in range(MESSAGES):
            text = f"Message {index} with **some** words.\n\n```python\nvalue = {index}\n```\n\nAnd the end."
            speaker = "assistant" if index % 2 else "user"
            entry = await app.store.write(entries.add, chat.id, parent, speaker, Reply(text=text, state="complete"))
            parent = entry.id
        begin = time.perf_counter()
        await app.controller.open(chat.id)
        await _until(lambda: len(app.chat_screen.messages.children) > 1)
        await pilot.pause()
        opening = time.perf_counter() - begin
        keys = [await _key(app) for _ in range(KEYS)]
        await app.action_quit()
    return opening, keys


async def _key(app: Any) -> float:
    """Seconds from a key's arrival at the app to the frame that shows it. A pilot would add waits of its own."""
    from textual import events

    event = events.Key("a", "a")
    event.set_sender(app)
    before, drawn, display = app.chat_screen.prompt.text, asyncio.Event(), app._display

    def displayed(*given: Any) -> None:
        display(*given)
        if app.chat_screen.prompt.text != before:
            drawn.set()

    app._display = displayed
    begin = time.perf_counter()
    app._driver.send_message(event)
    await drawn.wait()
    passed = time.perf_counter() - begin
    app._display = display
    await asyncio.sleep(KEY_S)
    return passed


async def _until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 the app has no event for it
        await asyncio.sleep(0.005)


def _paint_row(seconds: dict[str, list[float]]) -> Row:
    ours, theirs = (spread([1000 * second for second in seconds[name]]) for name in ("edgellm", "bare"))
    behind = statistics.median(a - b for a, b in zip(seconds["edgellm"], seconds["bare"], strict=True))
    return Row(
        name=f"first paint (reference: a bare Textual app; {1000 * behind:+.0f} ms)",
        ours=quantity(ours and ours.median, "ms", 0),
        theirs=quantity(theirs and theirs.median, "ms", 0),
        target="<= +150 ms",
        met=behind <= 0.15,
    )


def _cpu_row(kind: str, percent: float) -> Row:
    limit = LIMITS[kind]
    return Row(
        name=f"CPU while {TOKENS} tokens of {kind} stream at {PER_S:.0f}/s",
        ours=quantity(percent, "% of a core", 1),
        target=f"<= {limit:.0f} %",
        met=percent <= limit,
    )
