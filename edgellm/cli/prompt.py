"""What a person asks on the command line: the argument, what is piped in, and the options that shape the answer."""

from __future__ import annotations

import sys
import threading

import typer

from edgellm.request import SamplingParams

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


def sampling(
    temperature: float | None, top_k: int | None, top_p: float | None, min_p: float | None, seed: int | None
) -> SamplingParams:
    """The defaults with what was given. Raises typer.BadParameter for a value out of range."""
    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    params = SamplingParams(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    if problem := params.problem():
        raise typer.BadParameter(problem)
    return params


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
