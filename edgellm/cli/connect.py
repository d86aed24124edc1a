"""`edgellm connect`: print, or write, what a client needs to be told to use the server of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgellm.cli.client_config import Client, Config, Server
    from edgellm.config import Settings

_KEY = "KEY"
"""Stands where a key belongs that only its owner knows."""


def connect(
    client: Annotated[
        str | None, typer.Argument(metavar="[CLIENT]", help="Which program; all are listed without one.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="The model that it shall use.")
    ] = "default",
    key: Annotated[str, typer.Option(metavar="KEY", help="The key that it shall show, if the server asks.")] = "",
    write: Annotated[
        bool, typer.Option("--write", metavar="", help="Write the client's own file instead of printing it.")
    ] = False,
) -> int:
    """Tell a client of this machine's server: print what it needs, or write its file."""
    from edgellm import config
    from edgellm.cli.client_config import all_clients

    known = all_clients()
    if client is None:
        width = max(map(len, known))
        for each in known.values():
            print(f"{each.name.ljust(width)}  {each.about}")
        return 0
    if client not in known:
        raise typer.BadParameter(f"{client!r} is no client that was tried; there are: {', '.join(known)}")
    server = _server(config.load(), model, key)
    made = known[client].config(server)
    return _write(known[client], made, server) if write else _print(made, server)


def _server(settings: Settings, model: str, key: str) -> Server:
    """The server that runs, or else the one that the settings would start."""
    from edgellm.cli.client_config import Server
    from edgellm.runtime import instance
    from edgellm.server.serve import access_of

    found = instance.find()
    asks = bool(key) or access_of(settings).asks()
    url = found.url if found is not None else instance.here(settings.host, settings.port)
    return Server(url, model, (key or _KEY) if asks else "", settings.context)


def _print(made: Config, server: Server) -> int:
    if made.file is not None:
        _tell(f"For {_short(made.file)}:")
    print(made.text, end="", flush=True)
    _advise(made, server)
    return 0


def _write(client: Client, made: Config, server: Server) -> int:
    from edgellm.errors import ConfigError

    if made.file is None:
        raise typer.BadParameter(
            f"{client.name} has no file: put what is printed without --write into your shell's own"
        )
    if server.key == _KEY:
        raise ConfigError("the server asks for a key. Make one, `edgellm keys create NAME`, and give it with --key.")
    try:
        before = made.file.read_text(encoding="utf-8") if made.file.exists() else ""
        if made.text in before:
            _tell(f"{_short(made.file)} has it already.")
            return 0
        if before.strip() and (not made.can_add or _mentions(before, made.marks)):
            raise ConfigError(
                f"{_short(made.file)} has settings of its own for this. Change it by hand: "
                f"`edgellm connect {client.name}` prints what belongs there."
            )
        made.file.parent.mkdir(parents=True, exist_ok=True)
        gap = "\n" if before and not before.endswith("\n") else ""
        _put(made.file, before + gap + made.text, secret=bool(server.key))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot write {made.file}: {error}. Make it writable, or write it by hand.") from error
    _tell(f"wrote {_short(made.file)}")
    _advise(made, server)
    return 0


def _mentions(text: str, marks: tuple[str, ...]) -> bool:
    return any(line.strip().removeprefix("- ").startswith(mark) for line in text.splitlines() for mark in marks)


def _put(file: Path, text: str, *, secret: bool) -> None:
    """Replace `file` at once; one that is new and holds a key is its owner's alone."""
    import os

    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600 if secret else 0o644
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
        out.write(text)
    new.replace(file)


def _advise(made: Config, server: Server) -> None:
    if server.key == _KEY:
        _tell("The server asks for a key: `edgellm keys create NAME` makes one. Put it where KEY stands.")
    _tell(f"Try it, with `edgellm serve` running: {made.try_it}")


def _short(path: Path) -> str:
    try:
        return str("~" / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere, or nobody's home
        return str(path)


def _tell(words: str) -> None:
    import sys

    print(words, file=sys.stderr)
