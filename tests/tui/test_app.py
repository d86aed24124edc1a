"""The app as a person drives it: talking, stopping, branches, drafts, errors, quitting in mid-answer."""

from __future__ import annotations

import threading

import pytest

from edgellm.errors import ModelNotFound, OutOfMemory
from edgellm.request import Conversation
from tests.doubles.scripted_model import ScriptedModel
from tui import slash
from tui.notices import Offer
from tui.screens.help import HelpScreen
from tui.screens.search import SearchScreen
from tui.widgets.answer import Answer
from tui.widgets.code_block import CodeBlock
from tui.widgets.question import Question


def written(running) -> str:
    """What is shown of the last answer."""
    return "".join(answer.text for answer in running.app.query(Answer))


async def test_a_question_is_answered_and_both_are_shown(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("How are you?")
        assert running.texts == [("user", "How are you?"), ("assistant", "Fine, thanks.")]
        assert len(running.app.query(Question)) == len(running.app.query(Answer)) == 1
        assert running.app.chat_screen.prompt.text == ""


async def test_what_is_sent_before_the_model_is_there_is_answered_when_it_is(start) -> None:
    model, gate = ScriptedModel([["Here I am."]]), threading.Event()

    def slowly(name, settings, report):  # type: ignore[no-untyped-def]
        gate.wait(20)
        return model

    async with start(open_model=slowly) as running:
        await running.type("Anybody there?")
        await running.pilot.press("enter")
        await running.until(lambda: len(running.app.query(Question)) == 1)
        assert running.app.controller.state == "loading"
        gate.set()
        await running.until(lambda: ("assistant", "Here I am.") in running.texts)


async def test_escape_stops_and_keeps_what_there_is(start) -> None:
    async with start(ScriptedModel([["word "] * 1000], delay_s=0.01)) as running:
        await running.ready()
        await running.type("Go on")
        await running.pilot.press("enter")
        await running.until(lambda: "word" in written(running))
        await running.type("next question")
        await running.pilot.press("escape")
        await running.until(lambda: running.app.controller.state == "idle")
        assert running.app.controller.path[-1].reply.reason == "stopped"
        assert running.texts[-1][1].startswith("word ")
        assert running.app.chat_screen.prompt.text == "next question"


async def test_a_message_does_not_cut_the_running_answer_off_unless_one_insists(start) -> None:
    async with start(ScriptedModel([["word "] * 1000, ["Other."]], delay_s=0.01)) as running:
        await running.ready()
        await running.type("Go on")
        await running.pilot.press("enter")
        await running.until(lambda: "word" in written(running))
        await running.type("And now?")
        await running.pilot.press("enter")
        await running.until(lambda: "still being written" in str(running.app.chat_screen.query_one("#notice").render()))
        assert running.app.chat_screen.prompt.text == "And now?" and running.app.controller.state == "streaming"
        await running.pilot.press("enter")
        await running.until(lambda: ("user", "And now?") in running.texts)
        assert running.app.controller.path[1].reply.reason == "stopped"


async def test_quitting_in_the_middle_of_an_answer_keeps_it(start) -> None:
    model = ScriptedModel([["word "] * 1000], delay_s=0.01)
    async with start(model) as running:
        await running.ready()
        await running.type("Go on")
        await running.pilot.press("enter")
        await running.until(lambda: "word" in written(running))
        await running.type("unsent")
        await running.pilot.press("ctrl+q")
        await running.until(lambda: not running.app.is_running)
    assert model.closed
    async with start(resume=True) as again:
        await again.until(lambda: len(again.app.controller.path) == 2)
        assert again.texts[1][1].startswith("word ")
        await again.until(lambda: again.app.chat_screen.prompt.text == "unsent")


async def test_another_answer_is_a_branch_one_can_go_back_from(start) -> None:
    async with start(ScriptedModel([["first"], ["title"], ["second"]])) as running:
        await running.ready()
        await running.say("Which?")
        first = running.texts[-1][1]
        await running.pilot.press("ctrl+r")
        await running.until(lambda: running.app.controller.path[-1].of == 2)
        await running.ready()
        await running.settled()
        running.app.query_one(Answer).focus()
        for key, place in (("left", 1), ("right", 2), ("left", 1)):  # the focus stays with the message
            await running.pilot.press(key)
            await running.until(lambda place=place: running.app.controller.path[-1].place == place)
            await running.until(lambda: isinstance(running.app.focused, Answer))
        assert running.texts[-1][1] == first


async def test_a_branch_in_the_middle_is_changed_where_the_reader_is(start) -> None:
    async with start(ScriptedModel([["Line.\n\n" * 10]])) as running:
        await running.ready()
        for word in ("one", "two", "three", "four", "five"):
            await running.say(word)
        controller, messages = running.app.controller, running.app.chat_screen.messages
        second = controller.path[2]
        await controller.edit(second.id, "deux")
        await running.ready()
        await running.settled()
        await controller.switch(controller.path[2].id, -1)
        await running.until(lambda: len(running.app.query(Question)) == 5)
        question = next(each for each in running.app.query(Question) if each.entry.id == second.id)
        question.focus()
        await running.until(lambda: not messages.at_end)
        await running.pilot.press("right")
        await running.until(lambda: controller.path[2].text == "deux" and len(running.app.query(Question)) == 2)
        await running.until(lambda: isinstance(running.app.focused, Question))
        assert running.app.focused.entry.text == "deux"
        place = await running.steady(lambda: running.app.focused.region)
        await running.pilot.press("left")
        await running.until(lambda: len(running.app.query(Question)) == 5 and not messages.at_end)
        assert await running.steady(lambda: running.app.focused.region) == place
        assert messages.region.contains_region(place) and not messages.at_end


async def test_a_message_is_edited_into_a_branch_and_escape_leaves_it(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Helo")
        await running.pilot.press("ctrl+e")
        assert running.app.chat_screen.prompt.text == "Helo"
        await running.pilot.press("escape")
        await running.until(lambda: running.app.chat_screen.prompt.text == "")
        await running.pilot.press("ctrl+e")
        await running.type("!")
        await running.pilot.press("enter")
        await running.until(lambda: running.texts[:1] == [("user", "Helo!")])
        await running.ready()
        assert running.app.controller.path[0].of == 2


async def test_a_model_that_cannot_be_opened_is_told_and_another_can_be_taken(start) -> None:
    model = ScriptedModel([["Yes."]], name="other")

    def open_model(name, settings, report):  # type: ignore[no-untyped-def]
        if name == "default":
            raise ModelNotFound("no model is called 'default'.")
        return model

    async with start(open_model=open_model) as running:
        notice = running.app.chat_screen.query_one("#notice")
        await running.until(lambda: notice.has_class("-error"))
        await running.type("/model other")
        await running.pilot.press("enter")
        await running.ready()
        assert not notice.has_class("-shown")
        assert running.app.chat_screen.header.model == "other"


async def test_a_model_that_fails_to_load_says_why(start) -> None:
    async with start(ScriptedModel([["x"]], start_error=OutOfMemory("8 GB are needed."))) as running:
        await running.until(lambda: running.app.controller.state == "failed")
        await running.until(lambda: "8 GB" in str(running.app.chat_screen.query_one("#notice").render()))


async def test_the_model_is_told_the_options_of_the_command_line(start) -> None:
    model = ScriptedModel([["Aye."]])
    async with start(model, system="Talk like a pirate.", sampling={"temperature": 0.1}) as running:
        await running.ready()
        await running.say("Hello")
    asked = model.requests[0]
    assert isinstance(asked.input, Conversation)
    assert asked.input.messages[0].text == "Talk like a pirate."
    assert asked.sampling.temperature == 0.1


async def test_a_deleted_conversation_comes_back(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Keep me")
        await running.type("/delete")
        await running.pilot.press("escape", "enter")
        await running.until(lambda: running.app.controller.chat is None)
        await running.pilot.press("f8")
        await running.until(lambda: running.texts[:1] == [("user", "Keep me")])


async def test_search_finds_a_message_and_opens_it(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Where are my quinces?")
        await running.pilot.press("ctrl+n")
        await running.until(lambda: running.app.controller.chat is None)
        await running.pilot.press("ctrl+f")
        await running.until(lambda: isinstance(running.app.screen, SearchScreen))
        screen = running.app.screen
        assert isinstance(screen, SearchScreen)
        await running.pilot.press(*"quince")
        await running.until(lambda: bool(screen._hits))
        await running.pilot.press("enter")
        await running.until(lambda: running.texts[:1] == [("user", "Where are my quinces?")])
        await running.until(lambda: running.app.query_one(Question).has_class("-found"))
        assert running.app.chat_screen.prompt.has_focus


async def test_keys_of_commands_rest_while_a_dialog_is_open(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Hello")
        await running.pilot.press("f1")
        await running.until(lambda: isinstance(running.app.screen, HelpScreen))
        await running.pilot.press("ctrl+n", "ctrl+r")
        assert len(running.app.controller.path) == 2
        await running.pilot.press("escape")
        await running.until(lambda: running.app.screen is running.app.chat_screen)


async def test_a_file_that_is_named_is_sent_along(start, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("Buy quinces.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model = ScriptedModel([["I see."]])
    async with start(model) as running:
        await running.ready()
        await running.type("@not")
        await running.until(lambda: running.app.chat_screen.suggestions.display)
        await running.pilot.press("tab")
        await running.type("what is it?")
        await running.pilot.press("enter")
        await running.until(lambda: len(running.texts) == 2)
        await running.ready()
        assert running.app.controller.path[0].attachments[0].name == "notes.txt"
    asked = model.requests[0].input
    assert isinstance(asked, Conversation) and "Buy quinces." in asked.messages[-1].text


async def test_code_is_copied_as_it_was_written(start, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr("tui.clipboard.copy", lambda text: copied.append(text) or True)
    async with start(ScriptedModel([["```py\n", "a = [1,\n", "     2]\n", "```\n"]])) as running:
        await running.ready()
        await running.say("Code?")
        running.app.query_one(CodeBlock).focus()
        await running.pilot.press("c")
        await running.until(lambda: copied == ["a = [1,\n     2]"])


async def test_an_export_is_named_by_its_title_and_offered_for_import(
    start, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with start() as running:
        await running.ready()
        await running.say("Old bread: what now?")
        await running.app.controller.rename("Old bread: what/now?")
        for name in ("old-bread-what-now.md", "old-bread-what-now-2.md"):
            await running.type("/export")
            await running.pilot.press("enter")
            await running.until((tmp_path / name).exists)
        running.app.action_command("import_")
        await running.until(lambda: running.app.chat_screen.suggestions.display)
        await running.pilot.press("enter")
        assert running.app.chat_screen.prompt.text == "/import old-bread-what-now-2.md"
        await running.pilot.press("enter")
        await running.until(lambda: len(running.app.chat_screen.chats._chats) == 2)
        assert running.texts[0] == ("user", "Old bread: what now?")


@pytest.mark.parametrize("name", ["chat.md", "chat.json"])
async def test_an_exported_conversation_can_be_taken_in(start, tmp_path, name: str) -> None:
    async with start() as running:
        await running.ready()
        await running.say("Keep this")
        first = running.app.controller.chat.id
        running.app.obey(*slash.read(f"/export {tmp_path / name}"))  # type: ignore[misc]
        await running.until(lambda: (tmp_path / name).exists())
        running.app.obey(*slash.read(f"/import {tmp_path / name}"))  # type: ignore[misc]
        await running.until(lambda: running.app.controller.chat.id != first)
        assert running.texts == [("user", "Keep this"), ("assistant", "Fine, thanks.")]


async def test_what_was_shown_last_is_shown_again(start) -> None:
    async with start() as running:
        await running.ready()
        await running.say("First")
        first = running.app.controller.chat.id
        running.app.action_command("new")
        await running.until(lambda: running.app.controller.chat is None)
        await running.say("Second")
        await running.app.controller.open(first)
        await running.until(lambda: running.app.chat_screen.prompt.text == "")
        await running.type("unsent")
    async with start(resume=True) as again:
        await again.until(lambda: again.app.chat_screen.prompt.text == "unsent")
        assert again.texts[0] == ("user", "First")


async def test_the_writing_of_a_summary_is_stopped_by_escape(start) -> None:
    async with start(ScriptedModel([["Yes."], ["title"], ["word "] * 1000], delay_s=0.01)) as running:
        await running.ready()
        await running.say("one")
        controller = running.app.controller
        offer = Offer(kind="summary", left_out=2, used=9, first=controller.path[0].id)
        running.app.do(controller.choose(offer))
        await running.until(lambda: controller.summing)
        await running.until(lambda: "Esc stop" in str(running.app.chat_screen.footer.render()))
        await running.pilot.press("escape")
        await running.until(lambda: not controller.summing)
        assert controller.state == "idle" and running.app.screen is running.app.chat_screen
