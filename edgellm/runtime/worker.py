"""The worker process: hosts one `Model` or `LocalEmbedder` and answers its parent's frames until either ends."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import time
from contextlib import aclosing
from io import FileIO
from typing import TYPE_CHECKING, Any, cast

from edgellm import errors
from edgellm.model import Model
from edgellm.request import ChatRequest
from edgellm.runtime import frames
from edgellm.runtime.memory_limit import limit_memory
from edgellm.runtime.outbox import Outbox, describe
from edgellm.runtime.pipes import PipeWriter, post, start_reader
from edgellm.telemetry import log

if TYPE_CHECKING:
    from edgellm.runtime.local_embedder import LocalEmbedder

HEADROOM_BYTES = 3 << 30
"""What templates, grammars and images may allocate once the model is loaded."""

ORPHAN_GRACE_S = 1.0
"""How long the model may take to close when the parent is gone; native code that is busy longer is cut off."""

_log = log.get("worker")


class Job:
    """A stream or call at work, and how many events its reader has room for."""

    def __init__(self) -> None:
        self.credit = frames.WINDOW
        self.more = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def grant(self, events: int) -> None:
        self.credit += events
        self.more.set()

    async def spend(self) -> None:
        while not self.credit:
            self.more.clear()
            await self.more.wait()
        self.credit -= 1


class Host:
    """Does what the parent's messages ask, each stream and call in a task of its own."""

    def __init__(self, writer: PipeWriter) -> None:
        self.closed = asyncio.Event()
        self.exit_code = 0
        self._writer = writer
        self._outbox = Outbox(writer)
        self._decoder: frames.FrameDecoder[frames.ToWorker] = frames.FrameDecoder(frames.ToWorker)
        self._hosted: Any = None
        self._jobs: dict[int, Job] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        assert self._hosted is not None, "the parent asked before it heard Loaded"
        return cast(Model, self._hosted)

    @property
    def embedder(self) -> LocalEmbedder:
        """The same, where it was an embedder that the parent had made."""
        return cast("LocalEmbedder", self.model)

    def receive(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._dispatch(message)
        except frames.FrameError as error:
            _log.error("the parent process sent something that is no message", reason=str(error))
            self.close(2)

    def close(self, exit_code: int = 0) -> None:
        self.exit_code = exit_code
        self.closed.set()

    async def shut(self) -> None:
        """Close the model and let the last frames out, those that wait already before anything that may hang."""
        self._outbox.flush()
        try:
            if self._hosted is not None:
                await self._hosted.aclose()
        except Exception:
            _log.error("the model did not close", exc_info=True)
        self._outbox.flush()
        self._writer.close()
        self._writer.join(ORPHAN_GRACE_S)

    def _dispatch(self, message: frames.ToWorker) -> None:
        match message:
            case frames.Credit(id=id, events=events):
                if job := self._jobs.get(id):
                    job.grant(events)
            case frames.Cancel(id=id):
                if (job := self._jobs.pop(id, None)) and job.task:
                    job.task.cancel()
            case frames.Load(spec=spec):
                self._loading = asyncio.create_task(self._load(spec))
            case frames.Close():
                self.close()
            case (
                frames.Stream() | frames.Tokenize() | frames.Pieces() | frames.Status() | frames.Embed() | frames.Rank()
            ):
                self._begin(message)

    def _begin(self, message: frames.Stream | frames.Call) -> None:
        job = self._jobs[message.id] = Job()
        job.task = asyncio.create_task(self._run(message, job))

    async def _run(self, message: frames.Stream | frames.Call, job: Job) -> None:
        """Whatever happens, the parent hears how it ended, unless it cancelled."""
        id = message.id
        try:
            if isinstance(message, frames.Stream):
                await self._stream(id, message.request, job)
                answer: frames.FromWorker = frames.Ended(id)
            else:
                answer = await self._reply(message)
            self._tell(id, answer)
        except Exception as error:
            self._tell(id, frames.Raised(id, *describe(error, errors.EdgeLLMError)))
        finally:
            self._jobs.pop(id, None)

    def _tell(self, id: int, message: frames.FromWorker) -> None:
        if id in self._jobs:
            self._outbox.send(message)

    async def _stream(self, id: int, request: ChatRequest, job: Job) -> None:
        async with aclosing(self.model.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                await job.spend()
                if id not in self._jobs:  # cancelled, though the model took no notice
                    return
                self._outbox.event(id, event)

    async def _reply(self, message: frames.Call) -> frames.FromWorker:
        match message:
            case frames.Status(id=id):
                return frames.Reply(id, await self.model.status())
            case frames.Tokenize(id=id):
                ids = await self.model.tokenize(message.input, message.template_args, message.tools)
                return frames.Reply(id, ids)
            case frames.Pieces(id=id, ids=given):
                return frames.Spelled(id, await self.model.pieces(given))
            case frames.Embed(id=id):
                made = await self.embedder.embed(
                    message.inputs, dimensions=message.dimensions, truncate=message.truncate, first=message.first
                )
                return frames.Numbers(id, made.vectors.astype("<f4").tobytes(), list(made.tokens), made.dropped)
            case frames.Rank(id=id, query=query, documents=documents):
                found = await self.embedder.rerank(
                    query, documents, raw=message.raw, truncate=message.truncate, first=message.first
                )
                return frames.Numbers(id, found.scores.astype("<f4").tobytes(), list(found.tokens), found.dropped)

    async def _load(self, spec: frames.WorkerSpec) -> None:
        try:
            module, _, function = spec.factory.partition(":")
            self._hosted = getattr(importlib.import_module(module), function)(**spec.arguments)
            await self.model.start()
            limit_memory(HEADROOM_BYTES + spec.growth)
            self._outbox.send(frames.Loaded(self.model.info))
        except Exception as error:
            self._outbox.send(frames.LoadFailed(*describe(error, errors.LoadError)))
            self.close(1)


def take_pipes() -> tuple[FileIO, FileIO]:
    """Keep descriptors 0 and 1 for frames, under other numbers, and point 0 at nothing and 1 at the log (2).

    Native libraries print to 1; what they print must not land among the frames.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no stderr
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (incoming, outgoing):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return FileIO(incoming, "rb"), FileIO(outgoing, "wb")


def leave(exit_code: int) -> None:
    """Exit without the destructors of native libraries, which may hang or crash while their threads run."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(exit_code)


async def serve(incoming: FileIO, outgoing: FileIO) -> None:
    """Answer until Close, a failed load or the parent's end; does not return."""
    loop = asyncio.get_running_loop()
    host = Host(PipeWriter(outgoing))

    def orphaned() -> None:
        post(loop, host.close)
        time.sleep(ORPHAN_GRACE_S)
        os._exit(0)

    start_reader(incoming, loop, host.receive, orphaned)
    await host.closed.wait()
    await host.shut()
    leave(host.exit_code)


def main(*_: Any) -> None:
    # Ctrl-C is the parent's: it decides what becomes of the answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve(*take_pipes()))


if __name__ == "__main__":
    main()
