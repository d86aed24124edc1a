"""The `edgellm` command: how one of its subcommands is run, and how an error becomes one line and an exit code.

Typer and the subcommands are imported where they are needed: the chat app is on the screen before they would be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgellm.cli import full_screen

if TYPE_CHECKING:
    import typer

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 1 for an error, 2 for a wrong command line, 130 after Ctrl-C."""
    _write_any_text()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        _stop_writing()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if _aborted(error):
            return INTERRUPTED
        if os.environ.get("EDGELLM_DEBUG") == "1":
            raise
        return _told(error)
    return result if isinstance(result, int) else 0


def _run(given: list[str]) -> object:
    """Without arguments: the chat app where there is a terminal for it, else the help."""
    if given in ([], ["chat"]) and full_screen.possible():
        return full_screen.run_usual()
    from edgellm.cli.commands import app

    return app(given, prog_name="edgellm", standalone_mode=False)


def _aborted(error: Exception) -> bool:
    """Whether a question was answered with Ctrl-C."""
    return "typer" in sys.modules and isinstance(error, sys.modules["typer"].Abort)


def _told(error: Exception) -> int:
    """Say what went wrong in one line on stderr; returns the exit code."""
    from edgellm.errors import ConfigError, EdgeLLMError

    if isinstance(error, EdgeLLMError):
        return _say(str(error), USAGE if isinstance(error, ConfigError) else FAILED)
    # Typer brings its own copy of click, whose exceptions it does not export: they are known by what they can do.
    if hasattr(error, "format_message"):
        return _told_usage(error.format_message(), getattr(error, "ctx", None), getattr(error, "exit_code", USAGE))
    return _say(f"{type(error).__name__}: {error}. This is a bug in edgellm; EDGELLM_DEBUG=1 shows where.", FAILED)


def _told_usage(problem: str, context: typer.Context | None, code: int) -> int:
    if not problem:  # the help was printed instead
        return code
    command = context.command_path if context is not None else "edgellm"
    return _say(f"{problem.rstrip('.')}. `{command} --help` explains.", code)


def _say(text: str, code: int) -> int:
    print("error: " + " ".join(text.split()), file=sys.stderr)
    return code


def _write_any_text() -> None:
    """A terminal whose encoding lacks a character shows `?` for it, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _stop_writing() -> None:
    """Let Python flush stdout into nothing at exit, where it would complain about the closed pipe."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no real file
        sys.stdout = None


if __name__ == "__main__":
    sys.exit(main())
