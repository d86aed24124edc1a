"""What is typed: where it goes, and that none of it is lost."""

from __future__ import annotations

import asyncio
import threading

import pytest
from textual.events import Key

import tui.app
from edgellm.config import Settings
from tests.doubles.scripted_model import ScriptedModel
from tests.tui.conftest import WAIT_S, Running
from tui.app import ChatApp
from tui.screens.help import HelpScreen
from tui.start import Start
from tui.store import drafts
from tui.widgets.answer import Answer
from tui.widgets.question import Question


async def test_the_arrow_keys_bring_back_what_was_sent(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("one")
        await running.say("two")
        await running.type("draft")
        prompt = running.app.chat_screen.prompt
        seen = []
        for key in ("up", "up", "down", "down"):
            await running.pilot.press(key)
            seen.append(prompt.text)
        assert seen == ["two", "one", "two", "draft"]


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter"])
async def test_a_new_line_is_not_sent(start, key: str) -> None:
    async with start() as running:
        await running.ready()
        await running.type("one")
        await running.pilot.press(key)
        await running.type("two")
        assert running.app.chat_screen.prompt.text == "one\ntwo"
        assert not running.texts


async def test_what_is_typed_before_the_first_paint_is_in_the_prompt(tmp_path) -> None:
    class Hasty(ChatApp):
        def on_load(self) -> None:
            for letter in "hasty":
                self.post_message(Key(letter, letter))

    model = ScriptedModel([["x"]])
    app = Hasty(Start(settings=Settings(), folder=tmp_path, open_model=lambda name, settings, report: model))
    async with app.run_test() as pilot:
        running = Running(app, pilot)
        await running.until(lambda: app.chat_screen.prompt.text == "hasty")
        await running.ready()
        assert app.chat_screen.prompt.text == "hasty"
        await app.action_quit()


@pytest.fixture
async def unbegun(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """The app on its first frame, and what lets it go on: until then there is no store and no controller."""
    go_on = threading.Event()
    imported = tui.app._imported

    def slowly():
        assert go_on.wait(WAIT_S)
        return imported()

    monkeypatch.setattr(tui.app, "_imported", slowly)
    model = ScriptedModel([["Fine."], ["Thanks."]])
    app = ChatApp(Start(settings=Settings(), folder=tmp_path, open_model=lambda name, settings, report: model))
    async with app.run_test() as pilot:
        running = Running(app, pilot)
        await running.until(lambda: app.focused is app.chat_screen.prompt)
        yield running, go_on.set
        go_on.set()
        if app.is_running:
            await app.action_quit()


async def test_what_is_typed_and_sent_before_the_conversations_are_open_is_not_lost(unbegun) -> None:
    running, go_on = unbegun
    prompt = running.app.chat_screen.prompt
    await running.pilot.press("o", "n", "e")
    await running.until(lambda: prompt.text == "one")
    await running.pilot.press("enter", "t", "w")
    await running.until(lambda: prompt.text == "tw")
    assert not running.app.begun and not hasattr(running.app, "store")
    go_on()
    await running.pilot.press("o")
    await running.ready()
    await running.until(lambda: running.texts[:1] == [("user", "one")])
    await running.until(lambda: prompt.text == "two")


async def test_commands_wait_until_the_conversations_are_open(unbegun) -> None:
    running, go_on = unbegun
    await running.pilot.press("f1", "escape", "ctrl+c")
    assert len(running.app.screen_stack) == 1
    go_on()
    await running.until(lambda: isinstance(running.app.screen, HelpScreen))


@pytest.mark.parametrize("keys", [("ctrl+q",), ("ctrl+c", "ctrl+c")])
async def test_one_can_leave_before_the_conversations_are_open(unbegun, keys: tuple[str, ...]) -> None:
    running, _ = unbegun
    await running.pilot.press(*keys)
    await running.until(lambda: not running.app.is_running)
    assert not running.app.return_code


async def test_what_is_typed_behind_enter_is_the_next_message(start) -> None:
    async with start() as running:
        await running.ready()
        prompt = running.app.chat_screen.prompt
        for key in ("o", "enter", "t", "w"):  # all there before the app comes to the first
            running.app.post_message(Key(key, key if len(key) == 1 else "\r"))
        await running.until(lambda: running.texts[:1] == [("user", "o")])
        assert prompt.text == "tw"
        prompt.fill("/nonsense")
        prompt.submit()
        prompt.insert(" more")
        await running.until(lambda: prompt.text == "/nonsense more")


async def test_what_is_typed_while_another_conversation_comes_up_is_not_lost(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("One")
        first = running.app.controller.chat.id
        prompt = running.app.chat_screen.prompt
        await running.type("unsent in one")
        running.app.action_command("new")  # at once, as by keys: nothing of it has happened yet
        prompt.insert("unsent in two")
        await running.until(lambda: running.app.controller.chat is None)
        await running.until(lambda: not running.app.composer._between)
        assert prompt.text == "unsent in two"
        running.app.show(running.app.controller.open(first))
        prompt.insert("and more")
        await running.until(lambda: prompt.text == "unsent in one\nand more")
        running.app.action_command("new")
        await running.until(lambda: prompt.text == "unsent in two")


async def test_a_draft_that_is_not_back_yet_is_not_overwritten(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("One")
        first = running.app.controller.chat.id
        await running.type("unsent in one")
        running.app.action_command("new")
        composer, controller = running.app.composer, running.app.controller
        await running.until(lambda: controller.chat is None and composer._here.is_set())
        read, gate = composer._draft, asyncio.Event()

        async def late() -> str:
            words = await read()
            await gate.wait()
            return words

        composer._draft = late
        running.app.show(controller.open(first))
        await running.until(lambda: controller.chat is not None and not composer._between)
        running.app.action_command("new")  # away again, before the words of the first one are in the prompt
        composer._draft = read
        gate.set()
        await running.until(lambda: controller.chat is None and composer._here.is_set())
        assert await running.app.store.read(drafts.read, first) == "unsent in one"
        assert running.app.chat_screen.prompt.text == ""


async def test_a_key_does_not_overtake_the_letters_before_it(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("One")
        first = running.app.controller.chat.id
        for letter in "unsent":  # all there before the prompt comes to the first
            running.app.post_message(Key(letter, letter))
        running.app.post_message(Key("ctrl+n", None))
        for letter in "next":
            running.app.post_message(Key(letter, letter))
        prompt = running.app.chat_screen.prompt
        await running.until(lambda: running.app.controller.chat is None and prompt.text == "next")
        assert await running.app.store.read(drafts.read, first) == "unsent"


async def test_what_is_typed_behind_a_command_belongs_to_what_it_shows(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("One")
        first, prompt = running.app.controller.chat.id, running.app.chat_screen.prompt
        prompt.fill("/new")
        prompt.submit()
        prompt.insert("for the next")
        await running.until(lambda: running.app.controller.chat is None and running.app.composer._here.is_set())
        assert prompt.text == "for the next"
        assert await running.app.store.read(drafts.read, first) == ""


async def test_a_draft_stays_where_a_conversation_cannot_be_opened(start) -> None:
    async with start() as running:
        await running.ready()
        await running.type("unsent")
        running.app.show(running.app.controller.open(99))
        await running.until(lambda: not running.app.composer._between)
        assert running.app.chat_screen.prompt.text == "unsent"


async def test_letters_go_to_the_prompt_wherever_the_focus_is(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Hello")
        running.app.chat_screen.chats.focus()
        await running.pilot.press("z", "o")
        await running.until(lambda: running.app.chat_screen.prompt.text == "zo")
        running.app.query_one(Answer).focus()
        await running.pilot.pause()
        for letter in "a rec":  # all there before the app comes to the first
            running.app.post_message(Key(letter if letter != " " else "space", letter))
        await running.until(lambda: running.app.chat_screen.prompt.text == "zoa rec")
        assert running.app.controller.path[-1].of == 1
        running.app.query_one(Question).focus()
        await running.pilot.press("e")  # the message's own key
        await running.until(lambda: running.app.chat_screen.prompt.text == "Hello")


async def test_going_on_and_on_loses_no_draft(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("One")
        first = running.app.controller.chat.id
        prompt = running.app.chat_screen.prompt
        await running.type("unsent in one")
        running.app.action_command("new")
        running.app.action_command("new")
        prompt.insert("late")
        running.app.action_command("new")
        await running.until(lambda: running.app.controller.chat is None and not running.app.composer._between)
        assert prompt.text == "late"
        running.app.show(running.app.controller.open(first))
        await running.until(lambda: prompt.text == "unsent in one")


async def test_what_is_sent_at_once_leaves_the_draft_of_the_conversation_alone(start) -> None:
    async with start() as running:
        await running.ready()
        prompt = running.app.chat_screen.prompt
        await running.type("unsent in a new one")
        await running.app.composer.keep_draft()
        await running.app.controller.send("One")
        await running.ready()
        await running.settled()
        await running.app.store.write(drafts.save, None, "unsent in a new one")
        prompt.fill("")
        running.app.action_command("new")
        prompt.insert("Two")
        prompt.submit()
        await running.until(lambda: running.texts[:1] == [("user", "Two")])
        await running.ready()
        assert prompt.text == "unsent in a new one"
        assert await running.app.store.read(drafts.read, running.app.controller.chat.id) == prompt.text
