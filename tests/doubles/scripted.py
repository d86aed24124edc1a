"""A `Model` that does what its options say, for tests of what lies between a model and its callers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from edgellm import errors
from edgellm.events import Event, Finished, Started, Text, Timings, Usage
from edgellm.messages import Tool
from edgellm.model import ModelInfo, ModelStatus
from edgellm.request import ChatRequest, Input, Prompt


def kill() -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def leave() -> None:
    os._exit(7)


def segfault() -> None:
    ctypes.string_at(0)


CRASHES: dict[str, Callable[[], None]] = {"kill": kill, "exit": leave, "segfault": segfault}


class Scripted:
    """Streams `events` texts, `delay_s` apart, and misbehaves at the moment an option names.

    load_error: a code of `errors`, refused at load.   load_crash, crash (at text `crash_at`): a key of CRASHES.
    load_s: how long a load takes, without a look at the event loop.   noise: print to standard output in many ways.
    echo: the one text is the request as JSON.   replay: the events are those in `template_args["events"]`.
    cancel_log: a file that gets a line for each stream left early.   stubborn: cancellation is ignored.
    refuse: a code of `errors`, raised by each stream.   break_at: raise a ValueError at this text.
    hang: block the event loop for good at the first text.   allocate: reserve so many bytes at the first text.
    giant: requests for the model "giant" get a text of so many characters, then wait for good.
    """

    def __init__(
        self,
        events: int = 3,
        delay_s: float | None = None,
        load_error: str = "",
        load_crash: str = "",
        load_s: float = 0.0,
        crash: str = "",
        crash_at: int = 1,
        noise: bool = False,
        echo: bool = False,
        replay: bool = False,
        cancel_log: str = "",
        stubborn: bool = False,
        refuse: str = "",
        break_at: int = -1,
        hang: bool = False,
        allocate: int = 0,
        giant: int = 0,
    ) -> None:
        self.options = dict(locals())
        del self.options["self"]
        self.running = 0
        self.generated = 0

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="scripted", backend="double", context_length=1234)

    async def start(self) -> None:
        if self.options["noise"]:
            make_noise()
        time.sleep(self.options["load_s"])  # noqa: ASYNC251 native code does not look at the event loop either
        if crash := self.options["load_crash"]:
            CRASHES[crash]()
        if code := self.options["load_error"]:
            raise_code(code)

    async def stream(self, request: ChatRequest) -> AsyncIterator[Event]:
        if code := self.options["refuse"]:
            raise_code(code)
        self.running += 1
        try:
            for event in self.script(request):
                if event is PAUSE:
                    await self.pause()
                else:
                    self.generated += 1
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            self.note(f"cancelled {request.model}")
            raise
        finally:
            self.running -= 1

    def script(self, request: ChatRequest) -> Any:
        if self.options["replay"]:
            yield from msgspec.convert(request.template_args["events"], list[Event], builtin_types=(bytes,))
            return
        if self.options["giant"] and request.model == "giant":
            yield Text("x" * self.options["giant"])
            while True:
                yield PAUSE
        for choice in range(request.n):
            yield Started(prompt_tokens=1, cached_tokens=0, choice=choice)
        for index in range(1 if self.options["echo"] else self.options["events"]):
            yield PAUSE
            self.misbehave(index)
            text = msgspec.json.encode(request).decode() if self.options["echo"] else f"{index} "
            for choice in range(request.n):
                yield Text(text, choice=choice)
        for choice in range(request.n):
            yield Finished("stop", Usage(), Timings(), choice=choice)

    async def pause(self) -> None:
        delay_s = self.options["delay_s"]
        try:
            if delay_s is not None:
                await asyncio.sleep(delay_s)
            elif self.options["giant"]:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.options["stubborn"]:
                raise
            self.note("ignored")

    def misbehave(self, index: int) -> None:
        if self.options["crash"] and index == self.options["crash_at"]:
            CRASHES[self.options["crash"]]()
        if index == self.options["break_at"]:
            raise ValueError("broken on purpose")
        if self.options["noise"]:
            make_noise()
        if self.options["hang"]:
            self.note("hangs")
            time.sleep(3600)
        if self.options["allocate"]:
            bytearray(self.options["allocate"])

    def note(self, line: str) -> None:
        if path := self.options["cancel_log"]:
            with Path(path).open("a") as file:
                file.write(line + "\n")

    async def tokenize(
        self, input: Input, template_args: dict[str, Any] | None = None, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        if not isinstance(input, Prompt):
            raise errors.Unsupported("only a prompt has tokens here")
        return [ord(character) for character in input.text] + list((template_args or {}).values())

    async def pieces(self, ids: list[int]) -> list[bytes]:
        return [bytes([id]) for id in ids]

    async def status(self) -> ModelStatus:
        return ModelStatus(running=self.running, tokens_generated=self.generated)

    async def aclose(self) -> None:
        self.note("closed")


PAUSE: Any = object()


def raise_code(code: str) -> None:
    error = errors.from_code(code, f"scripted {code}", {"needed": 9, "available": 5, "retry_after_s": 2.5})
    raise error


def make_noise() -> None:
    """Standard output, as Python, the operating system and C see it."""
    print("noise from print", flush=True)
    os.write(1, b"\x00\x00\x00\x01noise from write\n" * 100)
    if os.name == "posix":
        libc = ctypes.CDLL(None)
        libc.puts(b"noise from puts")
        libc.fflush(None)


def make(**options: Any) -> Scripted:
    return Scripted(**options)
