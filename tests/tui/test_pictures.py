"""What the screens look like, as SVG; `EDGELLM_TEST_PICTURES=write` draws them anew, to be looked at."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from edgellm.errors import OutOfMemory
from tests.doubles.fake_server import FakeServer
from tests.doubles.scripted_model import ScriptedModel
from tests.tui import scenes
from tests.tui.conftest import Running
from tui.notices import Meter, Offer, Outgrown, Summarized
from tui.opening import Progress
from tui.screens.outgrown import OutgrownScreen
from tui.screens.summary import SummaryScreen
from tui.server_control import Served
from tui.store import chats, entries, presets
from tui.store.records import Options, Preset, Reply
from tui.widgets.answer import Answer
from tui.widgets.message_list import MessageList

MOMENTS = 100
FOLDER = Path(__file__).parent / "pictures"
SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, USUAL, LARGE], ids=lambda size: "x".join(map(str, size)))


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes.fixed(monkeypatch)


async def compare(running: Running, name: str) -> None:
    """Everything but ids, which differ from run to run, must be alike within a moment."""
    file = FOLDER / f"{name}.svg"
    if os.environ.get("EDGELLM_TEST_PICTURES") == "write":
        await running.pilot.pause(0.5)
        FOLDER.mkdir(exist_ok=True)
        file.write_text(drawn(running), encoding="utf-8")
    wanted = file.read_text(encoding="utf-8")
    for _ in range(MOMENTS):
        await running.pilot.pause(0.02)
        if drawn(running) == wanted:
            return
    assert drawn(running) == wanted


def drawn(running: Running) -> str:
    picture = re.sub(r"terminal-\d+-", "terminal-", running.app.export_screenshot(title="edgellm"))
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


def sized(name: str, size: tuple[int, int]) -> str:
    return f"{name}-{size[0]}x{size[1]}"


@SIZES
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_conversation(start, size: tuple[int, int], theme: str) -> None:
    async with start(scenes.Measured(), size=size) as running:
        running.app.theme = theme
        await scenes.conversation(running)
        await compare(running, sized(f"chat-{theme}", size))


async def test_an_answer_while_it_is_written(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessageList, "_tick", lambda self: None)
    async with start(scenes.Measured(), size=USUAL) as running:
        await scenes.conversation(running, over=False)
        await running.until(lambda: running.app.query_one(Answer)._stats is not None)
        running.app.query_one(Answer).draw()
        running.app.chat_screen.show_fetching(Progress("fetching gemma-3-4b", 1_550_000_000, 2_500_000_000, 13_000_000))
        await compare(running, "streaming")


@pytest.mark.parametrize("size", [SMALL, USUAL], ids=lambda size: "x".join(map(str, size)))
async def test_help(start, size: tuple[int, int]) -> None:
    async with start(scenes.Measured(), size=size) as running:
        await scenes.conversation(running)
        await running.pilot.press("f1")
        await compare(running, sized("help", size))


async def test_an_empty_conversation(start) -> None:
    async with start(scenes.Measured(), size=USUAL) as running:
        await running.ready()
        running.app.chat_screen.prompt.cursor_blink = False
        await scenes.with_others(running)
        await running.until(lambda: running.app.controller.meter is not None)
        await compare(running, "empty")


@pytest.mark.parametrize("size", [SMALL, USUAL], ids=lambda size: "x".join(map(str, size)))
async def test_the_models(start, size: tuple[int, int]) -> None:
    async with start(scenes.Measured(), size=size) as running:
        await scenes.conversation(running)
        await running.pilot.press("ctrl+o")
        await compare(running, sized("models", size))


async def test_the_search(start) -> None:
    async with start(scenes.Measured(), size=USUAL) as running:
        await scenes.conversation(running)
        running.app.dialogs.search("binary")
        await running.until(lambda: bool(getattr(running.app.screen, "_hits", ())))
        await compare(running, "search")


@pytest.mark.parametrize("size", [SMALL, USUAL], ids=lambda size: "x".join(map(str, size)))
async def test_the_settings(start, size: tuple[int, int]) -> None:
    async with start(scenes.Measured(), size=size) as running:
        await scenes.conversation(running)
        options = Options(
            system="You review code. Answer in few words.", sampling={"temperature": 0.2}, preset="Review"
        )
        await running.app.store.write(presets.save, Preset(name="Review", options=options))
        await running.app.controller.configure(
            system=options.system, sampling=options.sampling, preset=options.preset, max_tokens=800
        )
        await running.pilot.press("f3")
        await running.until(lambda: bool(getattr(running.app.screen, "_presets", ())))
        await compare(running, sized("settings", size))


async def test_the_server(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.server.time.localtime", lambda when: (2026, 1, 1, 12, 30, int(when), 0, 1, 0))
    server = FakeServer()
    async with start(scenes.Measured(), size=USUAL, server=server) as running:
        await scenes.conversation(running)
        await running.app.serving.on()
        running.app.clear_notifications()
        known = {"prompt_tokens": 310, "tokens": 128, "per_s": 30.2}
        server.ask(Served(method="GET", path="/v1/models", begun=5, status=200, seconds=0.002))
        server.ask(Served(method="POST", path="/v1/chat/completions", begun=8, status=200, seconds=4.4, **known))
        server.ask(Served(method="POST", path="/v1/embeddings", begun=9, status=400, seconds=0.001))
        server.ask(
            Served(method="POST", path="/api/chat", begun=21, status=499, seconds=1.2, prompt_tokens=12, tokens=9)
        )
        server.ask(Served(method="POST", path="/v1/messages", begun=30, status=200, seconds=2.1, running=True, **known))
        await running.pilot.press("f5")
        await compare(running, "server")


async def test_a_model_that_cannot_be_loaded(start) -> None:
    error = OutOfMemory("qwen3-30b-a3b needs 18.6 GB, and 9.8 GB are free. Choose a smaller model or quantization.")
    async with start(ScriptedModel([["x"]], start_error=error, name="qwen3-30b-a3b"), size=USUAL) as running:
        await running.until(lambda: running.app.controller.state == "failed")
        running.app.chat_screen.prompt.cursor_blink = False
        await scenes.with_others(running)
        await compare(running, "error-load")


async def test_an_answer_that_broke_off_and_tools_that_were_called(start) -> None:
    async with start(scenes.Measured(), size=USUAL) as running:
        await running.ready()
        store = running.app.store
        await scenes.with_others(running)
        chat = await store.write(chats.add, "An umbrella?")
        asked = Reply(text="Do I need an umbrella tomorrow?", state="complete")
        entry = await store.write(entries.add, chat.id, None, "user", asked)
        entry = await store.write(entries.add, chat.id, entry.id, "assistant", scenes.CALLED)
        entry = await store.write(entries.add, chat.id, entry.id, "tool", results=scenes.RESULT)
        broken = Reply(
            text="Yes: from 14:00 on it is likely to",
            state="failed",
            error="The process of the model ended while it answered. Send the message again (^R).",
        )
        await store.write(entries.add, chat.id, entry.id, "assistant", broken)
        await running.app.controller.open(chat.id)
        running.app.chat_screen.prompt.cursor_blink = False
        await running.until(lambda: running.app.controller.meter is not None)
        await compare(running, "error-answer")


async def test_a_conversation_that_is_too_long(start) -> None:
    async with start(scenes.Measured(), size=USUAL) as running:
        await scenes.conversation(running)
        path = running.app.controller.path
        kinds = (("drop", 7300), ("window", 4915), ("summary", 5400))
        offers = tuple(Offer(kind=kind, left_out=2, used=used, first=path[0].id) for kind, used in kinds)  # type: ignore[arg-type]
        running.app.push_screen(OutgrownScreen(Outgrown(Meter(used=7900, limit=8192, reserve=1024), offers), path))
        await compare(running, "outgrown")
        running.app.pop_screen()
        words = "The user asked why a binary search loops forever; the range must be half-open."
        running.app.push_screen(SummaryScreen(Summarized(offers[2], words)))
        await running.pilot.pause()
        running.app.screen.query_one("TextArea").cursor_blink = False  # type: ignore[attr-defined]
        await compare(running, "summary")


async def test_the_palette(start) -> None:
    async with start(scenes.Measured(), size=USUAL) as running:
        await scenes.conversation(running)
        await running.pilot.press("ctrl+p")
        await running.pilot.press(*"the")
        palette = running.app.screen
        await running.until(lambda: palette.query_one("CommandList").option_count > 1)  # type: ignore[attr-defined]
        palette.query_one("CommandInput").cursor_blink = False  # type: ignore[attr-defined]
        await compare(running, "palette")


async def test_the_keys_of_a_message(start) -> None:
    async with start(scenes.Measured(), size=SMALL) as running:
        await scenes.conversation(running)
        running.app.query_one(Answer).focus()
        await compare(running, "message")


async def test_suggestions_while_a_command_is_typed(start) -> None:
    async with start(scenes.Measured(), size=SMALL) as running:
        await scenes.conversation(running)
        await running.type("/s")
        await running.until(lambda: running.app.chat_screen.suggestions.display)
        await compare(running, "suggestions")
