"""What a person asks on the command line: the argument, what is piped in, and the options that shape the answer."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import typer

from edgellm.model import ModelInfo
from edgellm.request import ChatRequest, Input, SamplingParams

HINT_AFTER_S = 1.0


def gather(argument: str | None, *, exact: bool = False) -> str | None:
    """The argument, followed by what is piped into stdin; `-` is stdin alone; None if a person should be asked.

    The newline at the end of stdin is dropped unless `exact`. Raises typer.BadParameter for text that is not UTF-8.
    """
    if argument == "-":
        return _piped(exact)
    if sys.stdin is None or sys.stdin.isatty():
        return None if argument is None else utf8(argument)
    piped = _piped(exact)
    if argument is None:
        return piped
    return f"{utf8(argument)}\n{piped}" if piped else utf8(argument)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says of the answer; what it leaves open the model's own recommendation decides."""

    max_tokens: int | None
    sampling: dict[str, Any]
    think: bool | None = None
    hide_thinking: bool = False

    def request(self, input: Input, info: ModelInfo) -> ChatRequest:
        params = msgspec.structs.replace(info.sampling, **self.sampling)
        return ChatRequest(input=input, sampling=params, max_tokens=self.max_tokens, thinking=self.think)


def wishes(max_tokens: int | None, **sampling: float | None) -> Wishes:
    """`sampling` holds fields of `SamplingParams`, None if not given. Raises typer.BadParameter if out of range."""
    given: dict[str, Any] = {name: value for name, value in sampling.items() if value is not None}
    if problem := SamplingParams(**given).problem():
        raise typer.BadParameter(problem)
    if max_tokens is not None and max_tokens < 1:
        raise typer.BadParameter("--max-tokens must be at least 1")
    return Wishes(max_tokens, given)


def utf8(text: str) -> str:
    """`text`, which must not hold bytes that were not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the text is not valid UTF-8") from None
    return text


def _piped(exact: bool) -> str:
    if sys.stdin is None:
        raise typer.BadParameter("there is no standard input to read the prompt from")
    hint = threading.Timer(HINT_AFTER_S, _hint)
    hint.daemon = True
    hint.start()
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8 text (byte {error.start})") from None
    finally:
        hint.cancel()
    return text if exact else text.rstrip("\r\n")


def _hint() -> None:
    print("reading the prompt from standard input until it ends ...", file=sys.stderr, flush=True)
