"""The worker process alone, spoken to in raw frames: it fails cleanly, and never outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgellm.events import Started, Text
from edgellm.request import ask
from edgellm.runtime import frames
from edgellm.runtime.frames import Cancel, Credit, Ended, EventFrame, Load, Loaded, LoadFailed, Stream, WorkerSpec
from edgellm.runtime.spawn import spawn


class RawWorker:
    """A worker process and its frames, without a `ProcessModel`."""

    def __init__(self, log: Path) -> None:
        self.process = spawn(log)
        self._decoder: frames.FrameDecoder[Any] = frames.FrameDecoder(frames.FromWorker)
        self._messages: list[Any] = []

    def send(self, *messages: Any) -> None:
        buffer = bytearray()
        for message in messages:
            frames.append(buffer, message)
        self.write(bytes(buffer))

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)

    def hear(self) -> Any:
        """The next message; None at the end."""
        assert self.process.stdout
        while not self._messages:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                return None
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def load(self, **options: Any) -> Any:
        self.send(Load(WorkerSpec("tests.doubles.scripted:make", options)))
        return self.hear()


@pytest.fixture
def worker(tmp_path: Path) -> Any:
    worker = RawWorker(tmp_path / "log")
    with worker.process:
        yield worker
        worker.process.kill()


def test_the_end_of_the_input_ends_the_worker(worker: RawWorker, tmp_path: Path) -> None:
    assert isinstance(worker.load(cancel_log=str(tmp_path / "notes")), Loaded)
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0
    assert (tmp_path / "notes").read_text() == "closed\n"


def test_the_end_of_the_input_ends_a_worker_that_is_busy_in_native_code(worker: RawWorker, tmp_path: Path) -> None:
    worker.load(hang=True, cancel_log=str(tmp_path / "notes"))
    worker.send(Stream(1, ask("x")))
    while not (tmp_path / "notes").exists():
        assert worker.process.poll() is None
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x03\0\0\0\xc1\xc1\xc1"], ids=["oversized", "not msgpack"])
def test_garbage_ends_the_worker_with_a_word_in_the_log(worker: RawWorker, tmp_path: Path, garbage: bytes) -> None:
    worker.load()
    worker.write(garbage)
    assert worker.hear() is None
    assert worker.process.wait(30) == 2
    log = (tmp_path / "log").read_text()
    assert "no message" in log
    assert "Traceback" not in log


def test_a_frame_cut_short_by_the_end_is_no_message(worker: RawWorker) -> None:
    worker.load()
    buffer = bytearray()
    frames.append(buffer, Stream(1, ask("x")))
    worker.write(bytes(buffer[:-1]))
    worker.process.stdin.close()
    assert worker.hear() is None
    assert worker.process.wait(30) == 0


def test_without_credit_a_stream_waits_and_another_does_not(worker: RawWorker) -> None:
    worker.load(events=1000)
    worker.send(Stream(1, ask("slow")))
    heard = 0
    while heard < frames.WINDOW:
        heard += len(worker.hear().events)
    assert heard == frames.WINDOW
    worker.send(Stream(2, ask("fast")), Credit(2, 10_000))
    others: list[Any] = []
    while not isinstance(message := worker.hear(), Ended):
        others.append(message)
    assert message.id == 2
    assert {frame.id for frame in others} == {2}
    assert sum(len(frame.events) for frame in others) == 1002
    worker.send(Credit(1, 1))
    assert worker.hear() == EventFrame(1, [Text("255 ")])


def test_events_at_hand_share_a_frame(worker: RawWorker) -> None:
    worker.load(events=100)
    worker.send(Stream(1, ask("x")))
    frame = worker.hear()
    assert frame.events[0] == Started(1, 0)
    assert len(frame.events) == 102


def test_a_cancelled_stream_says_nothing_more_even_when_the_model_ignores_it(worker: RawWorker, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    worker.load(events=10_000, delay_s=0.001, stubborn=True, cancel_log=str(notes))
    worker.send(Stream(1, ask("x")))
    worker.hear()
    worker.send(Cancel(1), Stream(2, ask("y")))
    while worker.hear().id != 2:
        pass
    assert {worker.hear().id for _ in range(20)} == {2}
    assert "ignored" in notes.read_text()


def test_a_factory_that_is_not_there_is_a_load_error(worker: RawWorker, tmp_path: Path) -> None:
    worker.send(Load(WorkerSpec("tests.doubles.nowhere:make")))
    message = worker.hear()
    assert isinstance(message, LoadFailed)
    assert message.code == "load_error"
    assert "ModuleNotFoundError" in message.message
    assert worker.process.wait(30) == 1
    assert "Traceback" in (tmp_path / "log").read_text()


def test_what_is_printed_goes_to_the_log(worker: RawWorker, tmp_path: Path) -> None:
    assert isinstance(worker.load(noise=True), Loaded)
    log = (tmp_path / "log").read_bytes()
    assert b"noise from print" in log
    assert b"noise from write" in log


PARENT = """
import asyncio, sys
from edgellm.runtime.process_model import ProcessModel, WorkerSpec

async def main():
    model = ProcessModel(WorkerSpec("tests.doubles.scripted:make", {}))
    await model.start()
    print(model.pid, flush=True)
    if sys.argv[1] == "stay":
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_a_worker_whose_parent_was_killed_exits() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, "stay"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        assert worker.is_running()
        parent.kill()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE  # init may be slow to reap it


def test_a_loop_that_ends_without_aclose_leaves_no_worker_and_no_noise() -> None:
    command = [sys.executable, "-X", "dev", "-W", "ignore::ResourceWarning", "-c", PARENT, "leave"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    pid = int(done.stdout)
    if psutil.pid_exists(pid):
        worker = psutil.Process(pid)
        psutil.wait_procs([worker], timeout=30)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_little_is_imported_before_the_factory_is_known() -> None:
    script = "import sys, edgellm.runtime.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"numpy", "llama_cpp", "fastapi", "structlog", "pydantic", "edgellm.engine", "edgellm.chat", "subprocess"}
    assert heavy & set(done.stdout.split()) <= {"subprocess"}  # asyncio imports it
