"""`edgellm chat --plain`: what is remembered, what the slash commands do, and what Ctrl-C leaves."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from edgellm.errors import ContextOverflow
from edgellm.request import Conversation
from tests.doubles.scripted_model import ScriptedModel


@pytest.fixture
def model(command) -> ScriptedModel:  # type: ignore[no-untyped-def]
    scripted = ScriptedModel([["first"], ["second"], ["third"]])
    command.use(scripted)
    return scripted


def asked(model: ScriptedModel, turn: int = -1) -> list[tuple[str, str]]:
    wanted = model.requests[turn].input
    assert isinstance(wanted, Conversation)
    return [(message.role, message.text) for message in wanted.messages]


def test_a_pipe_gets_one_answer_a_line(command, model) -> None:
    outcome = command("chat", "--plain", stdin=b"one\n\ntwo\r\nthree")
    assert (outcome.code, outcome.out, outcome.err) == (0, "first\nsecond\nthird\n", "")
    assert asked(model) == [
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two"),
        ("assistant", "second"),
        ("user", "three"),
    ]
    assert model.closed


def test_plain_is_what_chat_does_without_it_too(command, model) -> None:
    assert command("chat", stdin=b"one\n").out == "first\n"


def test_triple_quotes_hold_a_message_of_several_lines(command, model) -> None:
    command("chat", "--plain", stdin=b'"""one\n  two\n"""\n"""single"""\n"""open\nend')
    assert [asked(model, turn)[-1][1] for turn in range(3)] == ["one\n  two", "single", "open\nend"]


def test_clear_forgets_and_keeps_the_instructions(command, model) -> None:
    command("chat", "--system", "Be brief.", stdin=b"one\n/clear\ntwo\n")
    assert asked(model) == [("system", "Be brief."), ("user", "two")]


def test_system_changes_the_instructions(command, model) -> None:
    outcome = command("chat", stdin=b"/system\n/system Rhyme.\none\n/system\n")
    assert asked(model) == [("system", "Rhyme."), ("user", "one")]
    assert outcome.err == "There are no instructions.\nInstructions: Rhyme.\nInstructions: Rhyme.\n"


def test_stats_are_those_of_the_last_answer(command, model) -> None:
    outcome = command("chat", stdin=b"/stats\none\n/stats\n")
    before, after, guessed = outcome.err.splitlines()
    assert before == "There is no answer yet."
    assert after.startswith("prompt 7 tokens (3 cached)")
    assert guessed == "guessing ahead: off"


@pytest.mark.parametrize("word", ["/bye", "/exit"])
def test_leaving_by_word_asks_nothing_more(command, model, word: str) -> None:
    assert command("chat", stdin=f"one\n{word}\ntwo\n".encode()).code == 0
    assert len(model.requests) == 1


def test_help_names_every_command_and_an_unknown_one_is_told(command, model) -> None:
    err = command("chat", stdin=b"/help\n/halp\n").err
    assert all(word in err for word in ("/bye", "/exit", "/clear", "/system", "/stats", '"""', "Ctrl-C"))
    assert "There is no command /halp" in err
    assert model.requests == []


def test_overflow_is_told_and_leaves_the_history_as_it_was(command) -> None:
    model = ScriptedModel([["first"], [ContextOverflow("needs 99 tokens of 64", 99, 64)], ["third"]])
    command.use(model)
    outcome = command("chat", stdin=b"one\nlong\nthree\n")
    assert outcome.err == (
        "error: needs 99 tokens of 64 Nothing was cut: type /clear to begin anew, or ask something shorter.\n"
    )
    assert asked(model) == [("user", "one"), ("assistant", "first"), ("user", "three")]
    assert (outcome.code, outcome.out) == (1, "first\nthird\n"), "a script must learn that a turn failed"


class Interrupted(ScriptedModel):
    """Presses Ctrl-C when half of the first answer is out, and then waits long."""

    async def stream(self, request):  # type: ignore[no-untyped-def]
        async for event in super().stream(request):
            yield event
            if getattr(event, "text", "") == "half":
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
                await asyncio.sleep(60)


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_stops_the_answer_and_keeps_what_came(command, typed, terminal: bool) -> None:
    model = Interrupted([["half", "never"], ["second"]])
    command.use(model)
    typed("one", "two")
    outcome = command("chat", stdin=b"one\ntwo\n", terminal=terminal)
    assert (outcome.code, outcome.out) == (0, "half\nsecond\n")
    assert asked(model) == [("user", "one"), ("assistant", "half"), ("user", "two")]
    assert model.cancelled == 1


def test_ctrl_c_shows_the_word_that_was_held_back(command, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    command.use(Interrupted([["half", "never"], ["second"]]))
    typed("one", "two")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command("chat", terminal=True).out == "half\nsecond\n"


def test_ctrl_c_before_any_text_leaves_no_trace(command, typed) -> None:
    class Silent(Interrupted):
        async def stream(self, request):  # type: ignore[no-untyped-def]
            if not self.requests:
                self.requests.append(request)
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
                await asyncio.sleep(60)
            async for event in super().stream(request):
                yield event

    model = Silent([["first"]])
    command.use(model)
    typed("one", "two")
    assert command("chat", terminal=True).code == 0
    assert asked(model) == [("user", "two")]


def test_run_ends_with_130_on_ctrl_c(command) -> None:
    model = Interrupted([["half", "never"]])
    command.use(model)
    outcome = command("run", "hi")
    assert (outcome.code, outcome.out, outcome.err) == (130, "half\n", "")
    assert model.closed


@pytest.mark.parametrize("leave", [EOFError, KeyboardInterrupt])
def test_ctrl_c_and_ctrl_d_at_the_prompt_leave(command, model, typed, leave) -> None:
    typed("one", leave, "two")
    assert command("chat", terminal=True).code == 0
    assert len(model.requests) == 1
    assert model.closed


def test_a_person_is_greeted_on_stderr_only(command, model, typed) -> None:
    typed("one")
    outcome = command("chat", terminal=True)
    assert "scripted: /help" in outcome.err
    assert "first\n" in outcome.out
    assert "/help" not in outcome.out
