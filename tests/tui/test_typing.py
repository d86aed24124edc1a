"""What is typed: where it goes, and that none of it is lost."""

from __future__ import annotations

import pytest
from textual.events import Key

from edgellm.config import Settings
from tests.doubles.scripted_model import ScriptedModel
from tests.tui.conftest import Running
from tui.app import ChatApp
from tui.start import Start
from tui.store import drafts
from tui.widgets.answer import Answer
from tui.widgets.question import Question
from tui.widgets.signals import Submitted


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
        running.app._submitted(Submitted(prompt.text))
        await running.until(lambda: running.texts[:1] == [("user", "Two")])
        await running.ready()
        assert prompt.text == "unsent in a new one"
        assert await running.app.store.read(drafts.read, running.app.controller.chat.id) == prompt.text
