"""The `edgellm` command: its subcommands, and how an error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from edgellm.cli import (
    alias,
    bench,
    bundle,
    chat,
    connect,
    doctor,
    fit,
    keys,
    lend,
    models,
    prune,
    ps,
    pull,
    rm,
    run,
    serve,
    show,
    stop,
    verify,
)

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def _untyped(help_option: Any) -> Any:
    """Typer would show `--help <bool>`, as though it took a value."""
    help_option.metavar = ""
    return help_option


class Command(TyperCommand):
    def get_help_option(self, ctx: Any) -> Any:
        return _untyped(super().get_help_option(ctx))


class Group(TyperGroup):
    def get_help_option(self, ctx: Any) -> Any:
        return _untyped(super().get_help_option(ctx))


app = typer.Typer(name="edgellm", cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command(cls=Command)(run.run)
app.command(cls=Command)(chat.chat)
app.command(cls=Command)(serve.serve)
app.command(cls=Command)(lend.lend)
app.command(cls=Command)(connect.connect)
app.command(cls=Command)(ps.ps)
app.command(cls=Command)(stop.stop)
app.command(cls=Command)(models.models)
app.command(cls=Command)(show.show)
app.command(cls=Command)(pull.pull)
app.command(cls=Command)(rm.rm)
app.command(cls=Command)(verify.verify)
app.command(cls=Command)(prune.prune)
app.command(cls=Command)(alias.alias)
app.command(cls=Command)(doctor.doctor)
app.command(cls=Command)(fit.fit)
app.command(cls=Command)(bench.bench)

bundles = typer.Typer(name="bundle", cls=Group, no_args_is_help=True, help="Carry models to machines without network.")
bundles.command(cls=Command)(bundle.create)
bundles.command(cls=Command)(bundle.install)
bundles.command(cls=Command)(bundle.verify)
app.add_typer(bundles)

access = typer.Typer(name="keys", cls=Group, no_args_is_help=True, help="Keys that clients show to the server.")
access.command(cls=Command)(keys.create)
access.command("list", cls=Command)(keys.list_)
access.command(cls=Command)(keys.revoke)
access.command(cls=Command)(keys.rotate)
app.add_typer(access)


def _version(wanted: bool) -> None:
    if wanted:
        from edgellm import __version__

        print(f"edgellm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", is_eager=True, callback=_version, help="Print the version and leave."),
    ] = False,
) -> None:
    """Language models on your own machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 1 for an error, 2 for a wrong command line, 130 after Ctrl-C."""
    _write_any_text()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(given or _usual(), prog_name="edgellm", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _stop_writing()
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("EDGELLM_DEBUG") == "1":
            raise
        return _told(error)
    return result if isinstance(result, int) else 0


def _usual() -> list[str]:
    """What is done without arguments: the chat app where there is a terminal for it, else the help is shown."""
    from edgellm.cli import full_screen

    return ["chat"] if full_screen.possible() else []


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
