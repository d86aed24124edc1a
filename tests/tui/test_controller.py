"""Tests of `tui.controller` and the files beside it, on scripted models."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from edgellm.errors import BackendError, LoadError, RequestError
from edgellm.events import Text
from edgellm.messages import ToolCall
from tests.doubles.context_model import CALL, THOUGHT, ContextModel, words
from tests.doubles.scripted_model import ScriptedModel
from tests.doubles.waiting import until
from tests.tui.talks import of, said, talk
from tui import answering, notices
from tui.controller import Controller
from tui.store import chats, drafts, entries
from tui.store.records import Attachment
from tui.store.refusal import Gone, StoreError
from tui.store.store import Store


async def test_a_message_is_answered_stored_and_told(chat: Any, store: Store) -> None:
    await chat.use(ContextModel(*THOUGHT))
    await talk(chat, "hello there")
    assert said(chat) == ["hello there", "done"] and chat.state == "idle"
    reply = chat.path[1].reply
    assert (reply.state, reply.reason, reply.reasoning, reply.model) == ("complete", "stop", "let me think", "scripted")
    assert reply.first_s >= 0 and reply.thought_s >= 0
    assert await store.read(entries.path, chat.chat.id) == chat.path or said(chat) == [
        entry.text for entry in await store.read(entries.path, chat.chat.id)
    ]
    assert "".join(notice.text for notice in of(notices.TextAdded, chat)) == "done"
    assert "".join(notice.text for notice in of(notices.ReasoningAdded, chat)) == "let me think"
    assert of(notices.EntrySettled, chat)[0].entry == chat.path[1]
    assert [notice.state for notice in of(notices.StateChanged, chat)] == ["loading", "streaming", "idle"] or [
        notice.state for notice in of(notices.StateChanged, chat)
    ] == ["loading", "idle", "streaming", "idle"]


async def test_what_a_model_notes_of_its_loading_is_told_once(chat: Any) -> None:
    model = ScriptedModel([["Hi"]])
    model.info = msgspec.structs.replace(model.info, notes=("The context is cut.", "The context is cut."))
    await chat.use(model)
    await chat.settled()
    await chat.use(model)
    await chat.settled()
    assert [notice.message for notice in of(notices.Noted, chat)] == ["The context is cut."]


async def test_figures_are_the_models_own(chat: Any) -> None:
    await chat.use(ContextModel())
    await talk(chat, "hello")
    told = of(notices.StatsChanged, chat)[-1].stats
    assert told.exact and told.tokens == 3 and told.acceptance == 0.75
    assert told.per_s == pytest.approx(20.0) and told.prompt_tokens == 9


async def test_the_users_words_are_stored_before_a_model_is_there(chat: Any, store: Store) -> None:
    await chat.send("hello")
    assert [entry.text for entry in await store.read(entries.path, chat.chat.id)] == ["hello"]
    assert chat.state == "failed" and "Choose one" in chat.detail
    model = ScriptedModel([["Hi"]], start_delay_s=0.01)
    await chat.use(model)
    assert chat.state == "loading"
    await chat.settled()
    assert said(chat) == ["hello", "Hi"]


async def test_a_title_is_made_in_the_background_once(chat: Any, store: Store) -> None:
    model = ContextModel(title='"Title: **A fine chat**"\nmore')
    await chat.use(model)
    await talk(chat, "hello", "more")
    assert chat.chat.title == "A fine chat" and chat.chat.title_source == "model"
    titles = [request for request in model.requests if request not in model.asked]
    assert len(titles) == 1 and titles[0].priority == "batch" and model.asked[0].priority == "interactive"


async def test_a_title_of_the_user_stays(chat: Any) -> None:
    model = ContextModel(None, Text("x"))
    await chat.use(model)
    await chat.send("hello")
    await chat.rename(" Mine ")
    model.go.set()
    await chat.settled()
    assert chat.chat.title == "Mine" and len(model.requests) == 1


async def test_a_stopped_answer_keeps_its_words_and_the_prompt_goes_on(chat: Any, store: Store) -> None:
    model = ContextModel(Text("so far"), None)
    await chat.use(model)
    await chat.send("hello")
    await until(lambda: bool(of(notices.TextAdded, chat)))
    assert chat.state == "streaming"
    await chat.stop()
    assert chat.state == "idle"
    stored = (await store.read(entries.path, chat.chat.id))[-1].reply
    assert (stored.text, stored.state, stored.reason) == ("so far", "stopped", "stopped")
    await chat.stop()
    model.events = (Text("again"),)
    await talk(chat, "go on")
    assert said(chat) == ["hello", "so far", "go on", "again"]


async def test_a_stopped_answer_keeps_its_figures(chat: Any, store: Store) -> None:
    model = ContextModel(Text("so"), Text(" far"), None)
    await chat.use(model)
    await chat.send("hello")
    await until(lambda: len(of(notices.TextAdded, chat)) == 2)
    await chat.stop()
    await chat.settled()
    kept = (await store.read(entries.path, chat.chat.id))[-1].reply
    assert kept.reason == "stopped" and kept.usage.completion_tokens == kept.timings.predicted_n == 2


async def test_sending_while_an_answer_runs_stops_it_first(chat: Any) -> None:
    model = ContextModel(Text("so far"), None)
    await chat.use(model)
    await chat.send("one")
    await until(lambda: bool(of(notices.TextAdded, chat)))
    model.go.set()
    model.events = (Text("new"),)
    await talk(chat, "two")
    assert said(chat)[0] == "one" and said(chat)[2:] == ["two", "new"]


async def test_a_partial_answer_is_saved_while_it_is_written(
    chat: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "SAVED_EACH_S", 0.01)
    await chat.use(ContextModel(Text("so far"), None))
    await chat.send("hello")
    for _ in range(500):
        stored = (await store.read(entries.path, chat.chat.id))[-1].reply
        if stored.text:
            break
        await asyncio.sleep(0.01)
    assert (stored.text, stored.state) == ("so far", "streaming")


async def test_quitting_keeps_what_there_is(chat: Any, store: Store) -> None:
    await chat.use(ContextModel(Text("so far"), None))
    await chat.send("hello")
    await until(lambda: bool(of(notices.TextAdded, chat)))
    await chat.close()
    stored = (await store.read(entries.path, chat.chat.id))[-1].reply
    assert (stored.text, stored.state) == ("so far", "stopped")


@pytest.mark.parametrize("steps", [[BackendError("the chip melted")], ["some ", BackendError("the chip melted")]])
async def test_an_error_of_the_model_leaves_the_conversation_whole(chat: Any, steps: list[Any]) -> None:
    model = ScriptedModel([steps, ["fine"]])
    await chat.use(model)
    await talk(chat, "hello")
    assert (chat.state, chat.detail) == ("failed", "the chip melted")
    assert chat.path[1].reply.state == "failed" and chat.path[1].reply.error == "the chip melted"
    await chat.retry()
    await chat.settled()
    assert said(chat) == ["hello", "fine"] and chat.state == "idle"
    assert chat.path[1].of == len(steps)  # an attempt without words leaves no branch


async def test_whatever_a_model_raises_is_an_error_state(chat: Any) -> None:
    class Broken(ContextModel):
        async def stream(self, request: Any) -> Any:
            raise ValueError("not ours")
            yield

    await chat.use(Broken())
    await talk(chat, "hello")
    assert chat.state == "failed" and "not ours" in chat.detail
    await chat.use(ContextModel(Text("fine")))
    await talk(chat, "hello again")
    assert said(chat)[-1] == "fine"


async def test_a_model_that_does_not_load_can_be_tried_again(chat: Any) -> None:
    model = ScriptedModel([["Hi"]], start_error=LoadError("no such file"))
    await chat.use(model)
    await talk(chat, "hello")
    assert (chat.state, chat.detail) == ("failed", "no such file") and said(chat) == ["hello"]
    model._start_error = None
    await chat.retry()
    await chat.settled()
    assert said(chat) == ["hello", "Hi"]


async def test_branches(chat: Any, store: Store) -> None:
    model = ContextModel(Text("first"))
    await chat.use(model)
    await talk(chat, "hello")
    model.events = (Text("second"),)
    await chat.regenerate()
    await chat.settled()
    assert said(chat) == ["hello", "second"] and (chat.path[1].place, chat.path[1].of) == (2, 2)
    await chat.switch(chat.path[1].id, -1)
    assert said(chat) == ["hello", "first"]
    await chat.edit(chat.path[0].id, "goodbye")
    await chat.settled()
    assert said(chat) == ["goodbye", "second"] and (chat.path[0].place, chat.path[0].of) == (2, 2)
    assert words(model.asked[-1].input) == "goodbye"
    await chat.switch(chat.path[0].id, -1)
    assert said(chat) == ["hello", "first"]
    with pytest.raises(Gone):
        await chat.edit(12345, "nothing")


async def test_editing_keeps_the_files_unless_told(chat: Any) -> None:
    model = ContextModel()
    await chat.use(model)
    await chat.send("what is this?", (Attachment(name="a.py", text="x = '```'"),))
    await chat.settled()
    assert words(model.asked[0].input) == "File a.py:\n````\nx = '```'\n````\n\nwhat is this?"
    await chat.edit(chat.path[0].id, "explain")
    await chat.settled()
    assert words(model.asked[1].input).endswith("explain") and chat.path[0].attachments
    await chat.edit(chat.path[0].id, "explain", ())
    await chat.settled()
    assert words(model.asked[2].input) == "explain"


async def test_an_answer_goes_on_while_another_conversation_is_shown(chat: Any) -> None:
    model = ContextModel(Text("so "), None, Text("far"))
    await chat.use(model)
    await chat.send("one")
    await until(lambda: bool(of(notices.TextAdded, chat)))
    first = chat.chat.id
    await chat.new()
    assert chat.state == "idle" and chat.path == ()
    count = len(chat.heard)
    await chat.open(first)
    assert chat.state == "streaming" and said(chat) == ["one", "so "]
    assert len(chat.heard) > count
    await chat.new()
    model.go.set()
    await chat.settled()
    await chat.open(first)
    assert said(chat) == ["one", "so far"] and chat.state == "idle"


async def test_delete_and_undo(chat: Any, store: Store) -> None:
    await chat.use(ContextModel())
    await talk(chat, "hello")
    await chat.delete()
    assert chat.chat is None and await store.read(chats.listing) == () and of(notices.Deleted, chat)
    back = await chat.undo()
    assert back is not None and said(chat) == ["hello", "answer"] and not chat.can_undo
    assert await chat.undo() is None


async def test_the_last_conversation_is_resumed(chat: Any, store: Store) -> None:
    assert not await chat.resume_last()
    await chat.use(ContextModel())
    await talk(chat, "hello")
    await chat.configure(system="Be brief.")
    again = Controller(store)
    assert await again.resume_last()
    assert (said(again), again.options.system) == (["hello", "answer"], "Be brief.")
    await again.new()
    assert again.options.system == ""
    assert await store.read(drafts.history) == ("hello",)
    await again.close()


async def test_options_reach_the_model(chat: Any) -> None:
    model = ContextModel()
    await chat.use(model)
    await chat.configure(system="Be brief.", sampling={"temperature": 0.1}, max_tokens=5)
    await talk(chat, "hello")
    request = model.asked[0]
    assert request.sampling.temperature == 0.1 and request.sampling.top_k == model.info.sampling.top_k
    assert request.max_tokens == 5 and words(request.input) == "Be brief.\nhello"


@pytest.mark.parametrize("sampling", [{"temperature": -1}, {"heat": 1}, {"top_k": "many"}])
async def test_senseless_sampling_is_refused(chat: Any, sampling: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        await chat.configure(sampling=sampling)
    assert chat.options.sampling == {}


async def test_tool_calls_are_kept(chat: Any) -> None:
    await chat.use(ContextModel(*CALL))
    await talk(chat, "weather?")
    assert chat.path[1].reply.calls == (ToolCall("1", "weather", '{"city": "Bern"}'),)
    assert of(notices.CallChanged, chat)[-1].call == chat.path[1].reply.calls[0]


async def test_a_disk_that_is_full_does_not_end_the_answer(
    chat: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("The disk is full.")

    await chat.use(ContextModel())
    monkeypatch.setattr(entries, "save", full)
    await talk(chat, "hello")
    assert said(chat) == ["hello", "answer"] and "full" in of(notices.Warned, chat)[0].message


async def test_a_draft_is_counted(chat: Any) -> None:
    await chat.use(ContextModel(context=400))
    await talk(chat, "one two")
    assert chat.meter.used == 3
    meter = await chat.measure("three four", (Attachment(name="f", text="five six"),))
    assert meter.used == 3 + 8 and (meter.limit, meter.reserve) == (400, 100)
    assert (await Controller(chat.store).measure("x")) is None
