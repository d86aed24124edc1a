"""One run of `edgellm.runtime.worker` seen from the parent: spawned, asked, stopped, and what is left when it dies."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, cast

from edgellm import errors
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest
from edgellm.runtime import frames
from edgellm.runtime.answer import Answer
from edgellm.runtime.pipes import PipeWriter, post, start_reader
from edgellm.runtime.spawn import exit_words, is_crash, spawn

CLOSE_S = 2.0
"""How long a worker may take to close its model, then to obey a termination signal, before it is killed."""

LINGER_S = 5.0
"""How long a worker that has nothing left to do may take to exit."""


class WorkerProcess:
    """A worker from its spawn to its exit; belongs to the event loop that made it.

    `loaded` gives the model's info or the load error (once the process is gone); `exited` is done after the exit, and
    `crashed` is then its exit code, where that tells of a crash in native code.
    """

    def __init__(self, spec: frames.WorkerSpec, log: Path | None) -> None:
        loop = asyncio.get_running_loop()
        load = _pack(frames.Load(spec))
        self.loaded: asyncio.Future[ModelInfo] = loop.create_future()
        self.loaded.add_done_callback(lambda done: done.exception())  # nobody may be waiting for it any more
        self.exited: asyncio.Future[None] = loop.create_future()
        self.died_loading_at: float | None = None
        self.crashed: int | None = None
        self._loop = loop
        self._log = log
        self._reason: errors.EdgeLLMError | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, Answer] = {}
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._decoder: frames.FrameDecoder[frames.FromWorker] = frames.FrameDecoder(frames.FromWorker)
        self._linger: asyncio.TimerHandle | None = None
        self._process = spawn(log)
        self._writer = PipeWriter(cast(FileIO, self._process.stdin))
        start_reader(cast(FileIO, self._process.stdout), loop, self._receive, self._reap)
        self._writer.write(load)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: ChatRequest) -> Answer:
        """Begin an answer; `drop` it when leaving. Raises RequestError for a request that no frame can hold."""
        answer = Answer(next(self._ids), request)
        self._send(frames.Stream(answer.id, request))
        self._answers[answer.id] = answer
        return answer

    def credit(self, answer: Answer, events: int) -> None:
        """The reader has read so many more events."""
        if owed := answer.credit(events):
            self._send(frames.Credit(answer.id, owed))

    def drop(self, answer: Answer) -> None:
        """Nobody reads `answer` any more; the work for it is cancelled if it is not over."""
        self._answers.pop(answer.id, None)
        if not answer.ended and not self.exited.done():
            self._send(frames.Cancel(answer.id))

    async def call(
        self, message: Callable[[int], frames.Call]
    ) -> list[int] | ModelStatus | frames.Numbers | frames.Spelled:
        """Send `message(id)` and wait for its reply; `Numbers` come as they are."""
        id = next(self._ids)
        self._send(message(id))
        reply = self._calls[id] = self._loop.create_future()
        try:
            return cast("list[int] | ModelStatus | frames.Numbers | frames.Spelled", await reply)
        finally:
            if self._calls.pop(id, None) and not self.exited.done():
                self._send(frames.Cancel(id))

    async def stop(self) -> None:
        """End every answer, ask the worker to close, and insist. Returns when the process is gone."""
        if not self.loaded.done():
            self._process.terminate()  # a load has nothing to save, and may keep the worker from hearing us
        self._reason = self._reason or errors.Unavailable("The model was closed. Load it again to go on.")
        self._fail_everything(self._reason)
        if not self.exited.done():
            self._send(frames.Close())
        for insist in (self._process.terminate, self._process.kill):
            await asyncio.wait([self.exited], timeout=CLOSE_S)
            if self.exited.done():
                return
            insist()
        await asyncio.wait([self.exited])

    def _send(self, message: frames.ToWorker) -> None:
        if self.exited.done():
            assert self._reason is not None
            raise self._reason
        self._writer.write(_pack(message))

    def _receive(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._dispatch(message)
        except frames.FrameError as error:
            self._reason = errors.WorkerDied(
                f"The model's worker process wrote something that is no message ({error}) and was stopped. "
                "The next request starts a new one."
            )
            self._process.kill()

    def _dispatch(self, message: frames.FromWorker) -> None:
        match message:
            case frames.EventFrame(id=id, events=events):
                if answer := self._answers.get(id):
                    answer.put(events)
            case frames.Ended(id=id):
                if answer := self._answers.pop(id, None):
                    answer.end()
            case frames.Reply(id=id, value=value):
                self._replied(id, value)
            case frames.Numbers(id=id) | frames.Spelled(id=id):
                self._replied(id, message)
            case frames.Raised(id=id):
                self._raised(id, errors.from_code(message.code, message.message, message.details))
            case frames.Loaded(info=info):
                if not self.loaded.done():
                    self.loaded.set_result(info)
            case frames.LoadFailed():
                self._reason = errors.from_code(message.code, message.message, message.details)
                self._linger = self._loop.call_later(LINGER_S, self._process.kill)

    def _replied(self, id: int, value: Any) -> None:
        if (reply := self._calls.pop(id, None)) and not reply.done():
            reply.set_result(value)

    def _raised(self, id: int, error: errors.EdgeLLMError) -> None:
        if answer := self._answers.pop(id, None):
            answer.fail(error)
            self._send(frames.Cancel(id))  # the worker may not know: an event that no frame can hold
        elif (reply := self._calls.pop(id, None)) and not reply.done():
            reply.set_exception(error)

    def _reap(self) -> None:
        """In the reader's thread, once the worker's pipe has ended or our own loop has."""
        self._writer.close()
        try:
            code = self._process.wait(LINGER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        post(self._loop, self._gone, code)

    def _gone(self, exit_code: int) -> None:
        loading = not self.loaded.done()
        if self._linger is not None:
            self._linger.cancel()
        if self._reason is None:
            self._reason = self._died(exit_code, loading)
            self.crashed = exit_code if is_crash(exit_code) else None
            self.died_loading_at = self._loop.time() if loading else None
        self.exited.set_result(None)
        self._fail_everything(self._reason)

    def _fail_everything(self, error: errors.EdgeLLMError) -> None:
        for answer in self._answers.values():
            answer.fail(error)
        self._answers.clear()
        waiting: list[asyncio.Future[Any]] = [self.loaded, *self._calls.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        self._calls.clear()

    def _died(self, exit_code: int, loading: bool) -> errors.WorkerDied:
        when = " while loading it" if loading else ""
        hint = " Perhaps memory ran out: a smaller model or context needs less." if exit_code == -9 else ""
        log = f" Its log is {self._log}." if self._log else ""
        return errors.WorkerDied(
            f"The worker process that held the model died{when} ({exit_words(exit_code)}).{hint}{log} "
            "The next request starts a new one."
        )


def _pack(message: frames.ToWorker) -> bytearray:
    frame = bytearray()
    try:
        frames.append(frame, message)
    except frames.FrameError as error:
        assert not isinstance(message, frames.Load), f"WorkerSpec.arguments must be msgpack values: {error}"
        raise errors.RequestError(f"The request cannot be sent to the model's worker process: {error}.") from error
    return frame
