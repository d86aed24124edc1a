"""What the app costs: imports before the first paint, widgets for a long conversation, repaints while it streams."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgellm.errors import EdgeLLMError
from tests.doubles.scripted_model import ScriptedModel
from tui.store import chats, entries
from tui.store.records import Reply
from tui.widgets.answer import Answer
from tui.widgets.document import Document
from tui.widgets.message_list import WINDOW
from tui.widgets.question import Question

FORBIDDEN = (
    *("httpx", "pydantic", "fastapi", "numpy", "llama_cpp", "huggingface_hub", "psutil", "structlog"),
    *("markdown_it", "pygments", "sqlite3", "filelock", "tomllib", "typer"),
)
LATER = (
    *("tui.works", "tui.store", "tui.controller", "tui.notices", "edgellm.model"),
    *("tui.widgets.answer", "tui.widgets.chat_list", "tui.widgets.suggestions"),
)
ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "engine", "backends", "download", "fit", "server", "catalog", "machine", "chat", "remote")


# Ends at the first paint, and tells what there is by then.
PAINTED = """
import os, sys
from textual.app import App

ready = App._ready

async def hooked(self):
    await ready(self)
    self.call_after_refresh(painted, self)

def painted(self):
    frame = "".join(strip.text for strip in self.screen._compositor.render_strips())
    sys.__stdout__.write("\\n".join([frame, *sys.modules]))
    sys.__stdout__.flush()
    os._exit(0)

App._ready = hooked
from edgellm.cli.main import main
sys.exit(main([]))
"""


def test_before_the_first_paint_nothing_is_imported_that_it_does_not_show(tmp_path) -> None:
    headless = {"TEXTUAL_DRIVER": "textual.drivers.headless_driver:HeadlessDriver", "EDGELLM_HOME": str(tmp_path)}
    environment = os.environ | headless | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PAINTED], env=environment, capture_output=True, check=True, timeout=60)
    frame, *modules = done.stdout.decode("utf-8").splitlines()
    assert "edgellm" in frame and "Message …" in frame and "help" in frame
    packages = {module.partition(".")[0] for module in modules}
    assert {"textual", "tui"} <= packages
    assert not packages.intersection(FORBIDDEN)
    assert not set(LATER).intersection(modules)
    assert not [module for module in modules if module.startswith(tuple(f"edgellm.{room}." for room in ROOMS))]


TEXTS = {
    "prose": "Words follow words in a line of plain prose. " * 66,
    "code": "```python\n" + "value = compute(value, 17)  # again\n" * 75 + "```\n",
    "list": "- an item of a list with **some** words\n" * 60,
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_600_tokens_take_few_widgets_and_few_repaints(start, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    tokens = re.findall(r"\s*\S+\s?", TEXTS[kind])[:600]
    drawn = 0
    draw = Document.render_strips

    def counted(self, *arguments):  # type: ignore[no-untyped-def]
        nonlocal drawn
        drawn += 1
        return draw(self, *arguments)

    monkeypatch.setattr(Document, "render_strips", counted)
    async with start(ScriptedModel([tokens], delay_s=0.002)) as running:
        await running.ready()
        before = len(running.app.query("*"))
        await running.say("Write")
        answer = running.app.query_one(Answer)
        assert answer.text.strip() == "".join(tokens).strip()
        assert len(running.app.query("*")) - before <= 10
        assert drawn <= len(tokens) / 2


async def test_a_long_conversation_mounts_only_what_is_near_the_reader(start) -> None:
    async with start() as running:
        await running.ready()
        store = running.app.store
        chat = await store.write(chats.add, "Long")
        parent = None
        for index in range(0, 200, 2):
            parent = (
                await store.write(entries.add, chat.id, parent, "user", Reply(text=f"q{index}", state="complete"))
            ).id
            reply = Reply(text=f"Answer **{index}**\n\nand more", state="complete")
            parent = (await store.write(entries.add, chat.id, parent, "assistant", reply)).id
        await running.app.controller.open(chat.id)
        messages = running.app.chat_screen.messages
        await running.until(lambda: len(messages.children) == WINDOW)
        first = messages.children[0]
        messages.scroll_home(animate=False)
        await running.until(lambda: len(messages.children) == 2 * WINDOW)
        assert messages.children[WINDOW] is first
        await running.until(lambda: messages.scroll_y > 0)  # what was read stays where it was
        wanted = next(entry for entry in running.app.controller.path if entry.text == "q20")
        running.app.chat_screen.jump_to(wanted.id)
        await running.app.controller.open(chat.id, wanted.id)
        await running.until(lambda: any(q.entry.id == wanted.id for q in running.app.query(Question)))
        assert len(messages.children) <= WINDOW


async def test_the_reader_stays_where_the_reader_is_while_it_streams(start) -> None:
    # So long that it is still written however late a busy machine looks.
    text = "".join(f"Line {index}.\n\n" for index in range(2000))
    async with start(ScriptedModel([re.findall(r"\S+\s*", text)], delay_s=0.01)) as running:
        await running.ready()
        await running.type("Go")
        await running.pilot.press("enter")
        messages = running.app.chat_screen.messages
        await running.until(lambda: messages.max_scroll_y > 15)
        assert messages.scroll_y >= messages.max_scroll_y - 1
        await running.pilot.press("pageup")
        place, height = messages.scroll_y, messages.max_scroll_y
        await running.until(lambda: messages.max_scroll_y > height + 10)
        assert messages.scroll_y == place
        messages.to_end()
        await running.until(lambda: messages.scroll_y >= messages.max_scroll_y - 1)
        await running.app.controller.stop()


async def test_an_error_in_the_middle_keeps_the_words_and_says_what_it_was(start) -> None:
    async with start(ScriptedModel([["Half of", EdgeLLMError("The worker is gone.")]])) as running:
        await running.ready()
        await running.type("Go")
        await running.pilot.press("enter")
        await running.until(lambda: len(running.texts) == 2 and running.app.controller.state == "failed")
        assert running.texts[1][1] == "Half of"
        assert "The worker is gone." in running.app.controller.path[1].reply.error
        notice = running.app.chat_screen.query_one("#notice")
        await running.until(lambda: "/retry" in str(notice.render()))
        assert "The worker is gone." not in str(notice.render())  # it is said in the answer
