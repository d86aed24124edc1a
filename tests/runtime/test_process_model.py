"""`ProcessModel`: the same `Model` through a process boundary, and what a crash, a cancel or a close costs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgellm import errors
from edgellm.events import Event, Failed, Finished, Started, Text
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Conversation, Prompt, ask
from edgellm.runtime import frames, worker_slot
from edgellm.runtime.process_model import ProcessModel, WorkerSpec
from edgellm.runtime.spawn import exit_words
from tests.doubles import wire
from tests.doubles.scripted import Scripted
from tests.doubles.waiting import until

MakeModel = Callable[..., ProcessModel]
pytestmark = pytest.mark.usefixtures("no_leftovers")
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no signals to die of")


async def collect(model: ProcessModel, request: ChatRequest | None = None) -> list[Event]:
    async with aclosing(model.stream(request or ask("x"))) as events:
        return [event async for event in events]


async def directly(**options: Any) -> list[Event]:
    """What the same model says without a boundary."""
    return [event async for event in Scripted(**options).stream(ask("x"))]


def says(path: Path, words: str) -> Callable[[], bool]:
    return lambda: path.exists() and words in path.read_text()


# What goes through


async def test_a_stream_is_the_same_on_both_sides(scripted: MakeModel) -> None:
    model = scripted(events=1000)
    await model.start()
    assert await collect(model) == await directly(events=1000)


async def test_any_request_reaches_the_model_as_it_was(scripted: MakeModel) -> None:
    model = scripted(echo=True)
    await model.start()
    for request in every(wire.requests.filter(lambda request: "inf" not in repr(request)), 60):
        _, text, _ = await collect(model, request)
        assert isinstance(text, Text)
        assert msgspec.json.decode(text.text, type=ChatRequest) == request


async def test_any_events_come_back_as_they_were(scripted: MakeModel) -> None:
    model = scripted(replay=True)
    await model.start()
    for script in every(st.lists(wire.any_event, max_size=8), 60):
        assert await collect(model, ask("x", template_args=wire.replay(script))) == script


def every(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Hypothesis cannot await: `count` examples of `strategy` to loop over."""
    found: list[Any] = []

    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def gather(example: Any) -> None:
        found.append(example)

    gather()
    return found


async def test_tokens_and_status_come_back(scripted: MakeModel) -> None:
    model = scripted()
    assert await model.tokenize(Prompt("ab"), {"extra": 7}) == [97, 98, 7]
    assert await model.pieces([97, 255]) == [b"a", b"\xff"]
    await collect(model)
    assert await model.status() == ModelStatus(tokens_generated=5)


async def test_a_refused_call_raises_the_models_error(scripted: MakeModel) -> None:
    with pytest.raises(errors.Unsupported, match="only a prompt"):
        await scripted().tokenize(Conversation(()))


async def test_status_of_a_model_that_is_not_loaded_loads_nothing(scripted: MakeModel) -> None:
    model = scripted()
    assert await model.status() == ModelStatus()
    assert model.pid is None


async def test_info_is_the_callers_before_and_the_models_after_the_load(no_leftovers: None) -> None:
    model = ProcessModel(WorkerSpec("tests.doubles.scripted:make"), ModelInfo(name="guess", size_bytes=5))
    assert model.info == ModelInfo(name="guess", size_bytes=5)
    await model.start()
    assert model.info == Scripted().info
    await model.aclose()


async def test_noise_on_standard_output_harms_nothing(scripted: MakeModel, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = scripted(noise=True, log=log)
    await model.start()
    assert await collect(model) == await directly()
    assert b"noise from print" in log.read_bytes()


async def test_fifty_streams_at_once_keep_their_events_apart(scripted: MakeModel) -> None:
    model = scripted(echo=True, delay_s=0.001)
    answers = await asyncio.gather(*(collect(model, ask(f"question {i}")) for i in range(50)))
    for number, (_, text, _) in enumerate(answers):
        assert isinstance(text, Text)
        assert f'"question {number}"' in text.text


async def test_a_slow_reader_stalls_nobody_else_and_misses_nothing(scripted: MakeModel) -> None:
    model = scripted(events=2000)
    await model.start()
    async with aclosing(model.stream(ask("slow"))) as slow:
        first = await anext(slow)
        others = await asyncio.gather(*(collect(model) for _ in range(5)))
        assert [len(events) for events in others] == [2002] * 5
        status = await model.status()
        assert status.running == 1
        assert status.tokens_generated <= 5 * 2002 + frames.WINDOW + 1  # the slow one's work paused
        assert [first, *[event async for event in slow]] == await directly(events=2000)


# Loading


async def test_starting_is_idempotent_and_shared(scripted: MakeModel) -> None:
    model = scripted()
    await asyncio.gather(*(model.start() for _ in range(10)), *(collect(model) for _ in range(10)))
    pid = model.pid
    await model.start()
    assert model.pid == pid
    assert len(psutil.Process().children()) == 1


async def test_one_who_stops_waiting_for_a_load_does_not_end_it(scripted: MakeModel) -> None:
    model = scripted(load_s=0.2)
    impatient = asyncio.create_task(model.start())
    await asyncio.sleep(0)
    pid = model.pid
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    await model.start()
    assert model.pid == pid


async def test_only_the_request_that_waited_for_the_load_counts_it(scripted: MakeModel) -> None:
    model = scripted()
    loads = [event.timings.load_ms for _ in range(2) for event in await collect(model) if isinstance(event, Finished)]
    assert loads[0] > 0
    assert loads[1] == 0


# The app's own errors are in the tree once it was imported, and no worker raises them.
LOAD_ERRORS = [code for code, error in errors._tree(errors.EdgeLLMError).items() if error.__module__ == errors.__name__]


@pytest.mark.parametrize("code", sorted(LOAD_ERRORS))
async def test_every_load_error_comes_back_and_leaves_no_process(no_leftovers: None, code: str) -> None:
    model = ProcessModel(WorkerSpec("tests.doubles.scripted:make", {"load_error": code}))
    with pytest.raises(errors.EdgeLLMError, match=f"scripted {code}") as caught:
        await model.start()
    assert type(caught.value) is type(errors.from_code(code, ""))
    assert errors.details(caught.value) == errors.details(
        errors.from_code(code, "", {"needed": 9, "available": 5, "retry_after_s": 2.5})
    )
    assert model.pid is None
    assert psutil.Process().children() == []


async def test_all_who_wait_for_a_load_hear_that_it_failed(scripted: MakeModel) -> None:
    model = scripted(load_error="not_a_model")
    outcomes = await asyncio.gather(model.start(), collect(model), model.tokenize(Prompt("")), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [errors.NotAModel] * 3


@posix
async def test_a_crash_at_load_says_how_and_three_of_them_say_stop(
    scripted: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scripted(load_crash="kill", log=tmp_path / "log")
    for _ in range(worker_slot.CRASHES):
        with pytest.raises(errors.WorkerDied, match=r"while loading it .*SIGKILL"):
            await model.start()
    with pytest.raises(errors.WorkerDied, match="3 times within a minute"):
        await model.start()
    monkeypatch.setattr(worker_slot, "CRASH_WINDOW_S", 0.0)
    with pytest.raises(errors.WorkerDied, match="SIGKILL"):
        await model.start()


async def test_closing_while_loading_does_not_wait_for_the_load(scripted: MakeModel) -> None:
    model = scripted(load_s=3600)
    starting = asyncio.create_task(model.start())
    await asyncio.sleep(0.2)
    await model.aclose()
    with pytest.raises(errors.Unavailable, match="closed"):
        await starting


async def test_arguments_that_are_no_data_are_our_own_bug(no_leftovers: None) -> None:
    model = ProcessModel(WorkerSpec("tests.doubles.scripted:make", {"events": object()}))
    with pytest.raises(AssertionError, match="msgpack"):
        await model.start()


# Leaving


async def test_leaving_a_stream_cancels_it_in_the_worker(scripted: MakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    model = scripted(events=100_000, delay_s=0.001, cancel_log=str(notes))
    async with aclosing(model.stream(ask("x", model="by closing"))) as events:
        await anext(events)
    await until(says(notes, "cancelled by closing"))
    task = asyncio.create_task(collect(model, ask("x", model="by its task")))
    await asyncio.sleep(0)
    assert (await model.status()).running == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await until(says(notes, "cancelled by its task"))
    assert (await model.status()).running == 0


async def test_leaving_returns_at_once_when_the_worker_takes_no_notice(scripted: MakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    model = scripted(hang=True, delay_s=0.01, cancel_log=str(notes))
    async with aclosing(model.stream(ask("x"))) as events:
        assert await anext(events) == Started(1, 0)
        await until(says(notes, "hangs"))
    assert model.pid is not None  # and the test's end shows that a hanging worker can be closed


async def test_a_worker_that_does_not_read_blocks_nobody(scripted: MakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    model = scripted(hang=True, cancel_log=str(notes))
    stuck = asyncio.create_task(collect(model))
    await until(says(notes, "hangs"))
    large = [asyncio.create_task(collect(model, ask("x" * (8 << 20)))) for _ in range(3)]
    await asyncio.sleep(0.01)
    await model.aclose()
    outcomes = await asyncio.gather(stuck, *large, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [errors.Unavailable] * 4


async def test_leaving_a_reply_cancels_it(scripted: MakeModel) -> None:
    model = scripted()
    await model.start()
    asking = asyncio.create_task(model.tokenize(Prompt("a")))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert await model.tokenize(Prompt("b")) == [98]


async def test_closing_ends_running_streams_with_failed(scripted: MakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    model = scripted(events=100_000, delay_s=0.001, cancel_log=str(notes))
    async with aclosing(model.stream(ask("x"))) as events:
        await anext(events)
        await asyncio.gather(model.aclose(), model.aclose())
        await model.aclose()
        assert psutil.Process().children() == []
        *_, last = [event async for event in events]
    assert isinstance(last, Failed)
    assert last.code == "unavailable"
    assert "closed" in last.message
    assert notes.read_text().endswith("closed\n")
    with pytest.raises(errors.Unavailable, match="closed"):
        await collect(model)


async def test_closing_what_never_started_does_nothing(scripted: MakeModel) -> None:
    model = scripted()
    await model.aclose()
    assert model.pid is None


@posix
async def test_ctrl_c_is_not_for_the_worker(scripted: MakeModel) -> None:
    model = scripted()
    await model.start()
    assert model.pid
    os.kill(model.pid, signal.SIGINT)
    assert await collect(model) == await directly()


async def test_another_event_loop_is_our_own_bug(scripted: MakeModel) -> None:
    model = scripted()
    await model.start()
    with pytest.raises(AssertionError, match="event loop"):
        await asyncio.to_thread(asyncio.run, model.start())


def test_exit_codes_read_like_words() -> None:
    assert exit_words(3) == "exit code 3"
    assert exit_words(0xC0000005) == "exit code 0xc0000005"
    if os.name == "posix":
        assert exit_words(-11) == "killed by SIGSEGV"
        assert exit_words(-999) == "killed by signal 999"
