"""Opens the chat app where there is a terminal for it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgellm.cli.chat_server import ChatServer
    from edgellm.cli.prompt import Wishes
    from edgellm.config import Settings


def possible(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a person sits at a terminal that can be drawn on, or at a browser for which the app is drawn."""
    if environ.get("TEXTUAL_DRIVER"):  # textual-serve talks with the app through pipes
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)  # the app is drawn on stderr
    return all(stream is not None and stream.isatty() for stream in streams) and environ.get("TERM") != "dumb"


def run_usual() -> int:
    """Chat as the settings say, nothing asked for on the command line. Returns the exit code. Raises ConfigError."""
    gc.disable()
    from edgellm import config

    return run(config.load())


def run(
    settings: Settings,
    wishes: Wishes | None = None,
    system: str = "",
    *,
    resume: bool = False,
    any_model: bool = True,
    local: bool = False,
    own: Sequence[str] = (),
) -> int:
    """Chat until the person leaves. `any_model`: none was named, so the one used last may answer.

    `local` and `own` as for `ChatServer`. Returns the exit code. Raises ConfigError where conversations cannot be kept.
    """
    gc.disable()  # until the app is complete: a tenth of its start would be spent in looking at what is imported
    from edgellm import paths
    from tui.app import ChatApp
    from tui.start import Start

    @cache
    def server() -> ChatServer:
        from edgellm.cli.chat_server import ChatServer

        return ChatServer(settings, local=local, own=own)

    app = ChatApp(
        Start(
            settings=settings,
            folder=paths.data_dir() / "chats",
            any_model=any_model,
            resume=resume,
            system=system,
            sampling=wishes.sampling if wishes is not None else {},
            max_tokens=wishes.max_tokens if wishes is not None else None,
            thinking=wishes.think if wishes is not None else None,
            open_model=lambda name, chosen, report: server().open_model(name, chosen, report),
            server=server,
        )
    )
    app.run()
    return app.return_code or 0
