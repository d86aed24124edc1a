"""Copies text, and tells only what is known: whether a program of this machine took it, or a terminal was asked to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

PATIENCE_S = 2.0


def programs(environ: Mapping[str, str], platform: str = sys.platform) -> list[list[str]]:
    """Commands that take the clipboard's new content from their standard input, the likeliest first."""
    if environ.get("SSH_CONNECTION"):  # a program here would fill the clipboard of the other machine
        found: list[list[str]] = []
    elif platform == "darwin":
        found = [["pbcopy"]]
    elif platform == "win32":
        found = [["clip"]]
    else:
        wayland = [["wl-copy"]] if environ.get("WAYLAND_DISPLAY") else []
        x11 = [["xclip", "-selection", "clipboard"], ["xsel", "-ib"]] if environ.get("DISPLAY") else []
        found = [*wayland, *x11]
    return found


def copy(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a program took `text` for the clipboard. Blocks for a moment."""
    for command in programs(environ):
        if shutil.which(command[0]) is None:
            continue
        encoded = text.encode("utf-16" if command[0] == "clip" else "utf-8", "replace")
        quiet = subprocess.DEVNULL
        try:
            subprocess.run(command, input=encoded, stdout=quiet, stderr=quiet, timeout=PATIENCE_S, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        return True
    return False


def words(what: str, known: bool) -> str:
    """What to tell; not `known`: the terminal was asked, and terminals do not answer."""
    if known:
        return f"Copied the {what}."
    return f"Sent the {what} to the terminal. If it does not paste, the terminal forbids copying."
