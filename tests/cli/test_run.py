"""`edgellm run`: where the prompt comes from, what goes to which stream, and how failures end."""

from __future__ import annotations

import sys

import pytest

from edgellm.errors import ContextOverflow, EdgeLLMError, LoadError, WorkerDied
from edgellm.events import Reasoning
from edgellm.request import Conversation, Prompt, SamplingParams
from tests.doubles.scripted_model import ScriptedModel


@pytest.fixture
def model(command) -> ScriptedModel:  # type: ignore[no-untyped-def]
    scripted = ScriptedModel([["Hel", "lo ", "wörld"]])
    command.use(scripted)
    return scripted


def asked(model: ScriptedModel) -> list[tuple[str, str]]:
    """Role and text of every message of the last request."""
    wanted = model.requests[-1].input
    assert isinstance(wanted, Conversation)
    return [(message.role, message.text) for message in wanted.messages]


def test_the_answer_is_all_of_stdout(command, model) -> None:
    outcome = command("run", "hi")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello wörld\n", "")
    assert asked(model) == [("user", "hi")]
    assert model.closed


def test_an_answer_that_ends_its_line_gets_no_second_newline(command) -> None:
    command.use(ScriptedModel([["line\n"]]))
    assert command("run", "hi").out == "line\n"


def test_the_default_model_and_its_options_reach_the_settings(command, model) -> None:
    command("run", "hi")
    command("run", "hi", "-m", "other", "--context", "64", "--threads", "2", "--kv-type", "q8_0", "--offline")
    (_, first), (settings, second) = command.opened
    assert (first, second) == ("default", "other")
    assert (settings.context, settings.threads, settings.kv_type, settings.offline) == (64, 2, "q8_0", True)


def test_sampling_options_reach_the_request(command, model) -> None:
    command("run", "hi", "--temperature", "0", "--top-k", "5", "--top-p", "0.5", "--min-p", "0.1", "--seed", "7")
    sampling = model.requests[-1].sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, sampling.seed) == (0, 5, 0.5, 0.1, 7)
    command("run", "hi", "--max-tokens", "9")
    assert model.requests[-1].max_tokens == 9


@pytest.mark.parametrize("arguments", [["run", "hi"], ["run", "--raw", "hi"], ["chat"]])
def test_what_is_not_given_is_as_the_model_recommends(command, arguments: list[str]) -> None:
    model = ScriptedModel([["x"]], sampling=SamplingParams(temperature=0.2, top_p=0.9))
    command.use(model)
    command(*arguments, stdin=b"hi" if arguments == ["chat"] else b"")
    assert model.requests[-1].sampling == SamplingParams(temperature=0.2, top_p=0.9)
    command(*arguments, "--top-p", "0.5", "--seed", "7", stdin=b"hi" if arguments == ["chat"] else b"")
    assert model.requests[-1].sampling == SamplingParams(temperature=0.2, top_p=0.5, seed=7)


def test_a_system_message_comes_first(command, model) -> None:
    command("run", "hi", "--system", "Be brief.")
    assert asked(model) == [("system", "Be brief."), ("user", "hi")]


def test_raw_sends_the_text_as_it_is(command, model) -> None:
    command("run", "--raw", "-", stdin=b"def f():\n")
    assert model.requests[-1].input == Prompt("def f():\n")


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        (["-"], b"from a pipe\n", "from a pipe"),
        ([], b"from a pipe\r\n", "from a pipe"),
        (["Translate:"], b"Guten Tag\n", "Translate:\nGuten Tag"),
        (["alone"], b"", "alone"),
        ([], "\ufeffGrüße".encode(), "Grüße"),
        (["serve"], b"", "serve"),
        (["--", "--help"], b"", "--help"),
    ],
)
def test_where_the_prompt_comes_from(command, model, arguments, stdin, prompt) -> None:
    assert command("run", *arguments, stdin=stdin).code == 0
    assert asked(model) == [("user", prompt)]


def test_on_a_terminal_stdin_is_left_alone(command, model) -> None:
    command("run", "hi", stdin=b"never read", terminal=True)
    assert asked(model) == [("user", "hi")]


def test_no_prompt_on_a_terminal_begins_a_chat(command, model, typed) -> None:
    typed("one", "two")
    outcome = command("run", terminal=True)
    assert outcome.code == 0
    assert asked(model) == [("user", "one"), ("assistant", "Hello wörld"), ("user", "two")]


@pytest.mark.parametrize(
    ("arguments", "stdin", "problem"),
    [
        (["-"], b"", "the prompt is empty"),
        (["-"], b"\xff\xfe\xfd", "not UTF-8 text"),
        (["bad \udcff"], b"", "not valid UTF-8"),
        (["hi", "--temperature", "-1"], b"", "temperature must be"),
        (["hi", "--max-tokens", "0"], b"", "max-tokens"),
        (["hi", "--raw", "--system", "x"], b"", "--system"),
        (["hi", "there"], b"", "unexpected extra argument"),
        (["hi", "--nonsense"], b"", "--nonsense"),
        (["hi", "--kv-type", "q2"], b"", "--kv-type is 'q2'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_two(command, model, arguments, stdin, problem) -> None:
    outcome = command("run", *arguments, stdin=stdin)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert problem in outcome.err
    assert model.requests == []


def test_stats_go_to_stderr(command, model) -> None:
    outcome = command("run", "hi", "--stats")
    assert outcome.out == "Hello wörld\n"
    assert outcome.err.startswith("prompt 7 tokens (3 cached), 100.0 tok/s, answer 3 tokens, 10.0 tok/s, first text ")


def test_an_answer_cut_by_the_context_says_so(command) -> None:
    command.use(ScriptedModel([["long"]], reason="length"))
    assert "stopped at 1 tokens" in command("run", "hi").err
    assert command("run", "hi", "--max-tokens", "1").err == ""


@pytest.mark.parametrize("error", [ContextOverflow("too long: 9 > 8", 9, 8), WorkerDied("the worker died")])
def test_a_refused_request_is_one_line(command, error: EdgeLLMError) -> None:
    model = ScriptedModel([[error]])
    command.use(model)
    outcome = command("run", "hi")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {error}\n")
    assert model.closed


def test_a_failure_in_mid_answer_keeps_what_came(command) -> None:
    command.use(ScriptedModel([["half ", WorkerDied("the worker died")]]))
    outcome = command("run", "hi")
    assert (outcome.code, outcome.out, outcome.err) == (1, "half \n", "error: the worker died\n")


def test_a_model_that_does_not_load_is_one_line_and_closed(command) -> None:
    model = ScriptedModel([[]], start_error=LoadError("not a\nmodel"))
    command.use(model)
    outcome = command("run", "hi")
    assert (outcome.code, outcome.err) == (1, "error: not a model\n")
    assert model.closed


def test_a_bug_is_one_line(command) -> None:
    class Broken(ScriptedModel):
        def stream(self, request):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError("oops")

    command.use(Broken([[]]))
    outcome = command("run", "hi")
    assert outcome.code == 1
    assert outcome.err.startswith("error: ZeroDivisionError: oops. This is a bug")


def test_control_characters_are_kept_from_a_terminal(command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.use(ScriptedModel([["a\x1b[2Jb\tc"]]))
    assert command("run", "hi").out == "a\x1b[2Jb\tc\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command("run", "hi").out == "a[2Jb\tc\n"


def test_a_terminal_gets_whole_words(command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.use(ScriptedModel([["Paris is the met", "ropolitan capital", " of", " France."]]))
    assert command("run", "hi").out == "Paris is the metropolitan capital of France.\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    assert command("run", "hi").out == "Paris is the \nmetropolitan \ncapital of France.\n"


def test_a_word_held_back_is_shown_when_the_answer_breaks_off(command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.use(ScriptedModel([["half a sent", WorkerDied("the worker died")]]))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command("run", "hi").out == "half a sent\n"


def thinker(command) -> ScriptedModel:  # type: ignore[no-untyped-def]
    model = ScriptedModel([[Reasoning("hm, "), Reasoning("so"), "42"]])
    command.use(model)
    return model


def test_thoughts_do_not_get_into_a_pipe(command) -> None:
    thinker(command)
    outcome = command("run", "hi")
    assert (outcome.out, outcome.err) == ("42\n", "")


def test_thoughts_are_dim_on_a_terminal(command, monkeypatch: pytest.MonkeyPatch) -> None:
    thinker(command)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    outcome = command("run", "hi")
    assert outcome.out == "42\n"
    assert "\x1b[2mhm, so\x1b[0m\n\n" in outcome.err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "hm, so\n\n" in command("run", "hi").err
    assert "hm" not in command("run", "hi", "--hide-thinking").err


@pytest.mark.parametrize(("options", "meant"), [([], None), (["--think"], True), (["--no-think"], False)])
@pytest.mark.parametrize("name", ["run", "chat"])
def test_thinking_can_be_switched(command, options: list[str], meant: bool | None, name: str) -> None:
    model = thinker(command)
    command(name, *(["hi"] if name == "run" else []), *options, stdin=b"hi" if name == "chat" else b"")
    assert model.requests[-1].thinking is meant
