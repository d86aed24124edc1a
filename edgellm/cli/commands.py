"""All subcommands of `edgellm`, put together for Typer."""

from __future__ import annotations

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
