"""`ProcessModel` when things go wrong: crashes, garbage, bugs and oversized frames cost their own requests only."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgellm import errors
from edgellm.events import Event, Failed, Finished, Started, Timings, Usage
from edgellm.request import ChatRequest, Prompt, ask
from edgellm.runtime import frames, worker_process
from edgellm.runtime.process_model import ProcessModel
from edgellm.runtime.worker_slot import StandIn
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


# Death in the middle


@posix
@pytest.mark.parametrize(("crash", "words"), [("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit code 7")])
async def test_a_crash_fails_its_requests_and_nothing_after(
    scripted: MakeModel, tmp_path: Path, crash: str, words: str
) -> None:
    log = tmp_path / "log"
    model = scripted(events=1000, delay_s=0.002, crash=crash, crash_at=5, log=log)
    events = await collect(model, ask("x", n=2))
    assert events[:2] == [Started(1, 0, 0), Started(1, 0, 1)]
    failed = events[-2:]
    assert [(event.code, event.choice) for event in failed if isinstance(event, Failed)] == [
        ("worker_died", 0),
        ("worker_died", 1),
    ]
    assert words in failed[0].message  # type: ignore[union-attr]
    assert str(log) in failed[0].message  # type: ignore[union-attr]
    assert model.pid is None
    assert await model.tokenize(Prompt("a")) == [97]


def standing_in(heard: list[int]) -> StandIn:
    return StandIn(frames.WorkerSpec("tests.doubles.scripted:make", {"events": 3}), "Another stands in.", heard.append)


@posix
async def test_after_a_crash_the_stand_in_answers(scripted: MakeModel) -> None:
    heard: list[int] = []
    model = scripted(events=1000, delay_s=0.002, crash="segfault", crash_at=5, stand_in=standing_in(heard))
    assert isinstance((await collect(model))[-1], Failed)
    for _ in range(2):
        assert isinstance((await collect(model))[-1], Finished)
    assert model.info.notes[-1:] == ("Another stands in.",) and heard == [-11]


@posix
async def test_where_loading_crashes_the_stand_in_loads_at_once_for_all_who_wait(scripted: MakeModel) -> None:
    heard: list[int] = []
    model = scripted(load_crash="segfault", stand_in=standing_in(heard))
    answers = await asyncio.gather(*(collect(model) for _ in range(3)))
    assert all(isinstance(events[-1], Finished) for events in answers) and heard == [-11]


@posix
async def test_what_was_killed_is_started_again_as_it_was(scripted: MakeModel) -> None:
    heard: list[int] = []
    model = scripted(events=1000, delay_s=0.002, crash="kill", crash_at=5, stand_in=standing_in(heard))
    for _ in range(2):
        assert isinstance((await collect(model))[-1], Failed)
    assert not heard


async def test_a_killed_worker_costs_the_running_requests_only(scripted: MakeModel) -> None:
    model = scripted(events=100_000, delay_s=0.001)
    streams = [model.stream(ask("x")) for _ in range(8)]
    for stream in streams:
        await anext(stream)
    first_pid = model.pid
    assert first_pid
    psutil.Process(first_pid).kill()
    for stream in streams:
        *_, last = [event async for event in stream]
        assert isinstance(last, Failed)
        assert last.code == "worker_died"
    async with aclosing(model.stream(ask("x"))) as fresh:
        assert await anext(fresh) == Started(1, 0)
    assert model.pid not in (None, first_pid)


async def test_a_request_without_events_yet_raises_when_the_worker_dies(scripted: MakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    model = scripted(hang=True, delay_s=0.01, cancel_log=str(notes))
    async with aclosing(model.stream(ask("x"))) as stuck:
        assert await anext(stuck) == Started(1, 0)
        await until(says(notes, "hangs"))
        late = [asyncio.create_task(collect(model)), asyncio.create_task(model.tokenize(Prompt("a")))]
        await asyncio.sleep(0)
        assert model.pid
        psutil.Process(model.pid).kill()
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [errors.WorkerDied] * 2
        assert isinstance(await anext(stuck), Failed)


async def test_a_choice_that_was_complete_does_not_fail_later(scripted: MakeModel) -> None:
    done = Finished("stop", Usage(), Timings(), choice=1)
    script: list[Event] = [Started(1, 0, 0), Started(1, 0, 1), done]
    model = scripted(replay=True)
    await model.start()
    answer = worker_process.Answer(1, ask("x", n=2))
    answer.put(script)
    answer.fail(errors.WorkerDied("gone"))
    assert await answer.take() == [*script, Failed("worker_died", "gone", {}, 0)]
    assert await answer.take() == []


async def test_a_worker_that_writes_garbage_is_stopped(scripted: MakeModel) -> None:
    model = scripted(events=100_000, delay_s=0.001)
    async with aclosing(model.stream(ask("x"))) as events:
        await anext(events)
        process = model._slot.process
        assert process
        process._receive(b"\xff" * 8)
        *_, last = [event async for event in events]
    assert isinstance(last, Failed)
    assert last.code == "worker_died"
    assert "no message" in last.message
    assert model.pid is None


# Errors of single requests


@pytest.mark.parametrize("code", ["context_length_exceeded", "queue_full", "template_error"])
async def test_a_refusal_is_raised_before_any_event(scripted: MakeModel, code: str) -> None:
    model = scripted(refuse=code)
    with pytest.raises(errors.EdgeLLMError, match=f"scripted {code}") as caught:
        await collect(model)
    assert caught.value.code == code
    assert model.pid is not None


async def test_a_bug_in_the_model_fails_its_request_only(scripted: MakeModel, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = scripted(break_at=1, log=log)
    pid = (await model.start(), model.pid)[1]
    *_, last = await collect(model)
    assert isinstance(last, Failed)
    assert "ValueError: broken on purpose" in last.message
    assert "Traceback" in log.read_text()
    assert model.pid == pid


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is Linux's")
async def test_a_request_that_eats_memory_fails_alone(scripted: MakeModel, tmp_path: Path) -> None:
    model = scripted(allocate=8 << 30, log=tmp_path / "log")
    pid = (await model.start(), model.pid)[1]
    *_, last = await collect(model)
    assert isinstance(last, Failed)
    assert last.code == "out_of_memory"
    assert model.pid == pid


@pytest.mark.parametrize("text", ["\ud800", "x" * (frames.MAX_FRAME + 1)], ids=["surrogate", "huge"])
async def test_a_request_that_fits_in_no_frame_is_refused_here(scripted: MakeModel, text: str) -> None:
    model = scripted()
    with pytest.raises(errors.RequestError, match="cannot be sent"):
        await collect(model, ask(text))
    assert await collect(model)


async def test_an_event_that_fits_in_no_frame_fails_its_stream_only(scripted: MakeModel, tmp_path: Path) -> None:
    model = scripted(giant=frames.MAX_FRAME + 1, log=tmp_path / "log")
    with pytest.raises(errors.EdgeLLMError, match="MiB"):
        await collect(model, ask("x", model="giant"))
    assert (await model.status()).running == 0
    assert await collect(model) == await directly()
