"""Opens the chat app where there is a terminal for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgellm.cli.prompt import Wishes
    from edgellm.config import Settings


def possible(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a person sits at a terminal that can be drawn on, or at a browser for which the app is drawn."""
    if environ.get("TEXTUAL_DRIVER"):  # textual-serve talks with the app through pipes
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)  # the app is drawn on stderr
    return all(stream is not None and stream.isatty() for stream in streams) and environ.get("TERM") != "dumb"


def run(
    settings: Settings,
    wishes: Wishes,
    system: str,
    *,
    resume: bool,
    any_model: bool,
    local: bool = False,
    own: Sequence[str] = (),
) -> int:
    """Chat until the person leaves. `any_model`: none was named, so the one used last may answer.

    `local` and `own` as for `ChatServer`. Returns the exit code. Raises ConfigError where conversations cannot be kept.
    """
    from edgellm import paths
    from edgellm.cli.chat_server import ChatServer
    from tui.app import ChatApp
    from tui.start import Start

    server = ChatServer(settings, local=local, own=own)
    app = ChatApp(
        Start(
            settings=settings,
            folder=paths.data_dir() / "chats",
            any_model=any_model,
            resume=resume,
            system=system,
            sampling=wishes.sampling,
            max_tokens=wishes.max_tokens,
            thinking=wishes.think,
            open_model=server.open_model,
            server=server,
        )
    )
    app.run()
    return app.return_code or 0
