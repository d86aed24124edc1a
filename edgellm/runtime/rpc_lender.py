"""Runs the program that lends this computer's memory to llama.cpp on other computers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from edgellm.backends.llamacpp.rpc_lend import MISSING
from edgellm.errors import ConfigError, Unavailable, Unsupported
from edgellm.runtime.rpc_servers import missing_words
from edgellm.runtime.spawn import exit_words

_STOP_S = 2.0


def address(host: str, port: int) -> str:
    """`host` as a number, which is all that the library takes. Raises ConfigError, and Unavailable for a used port."""
    try:
        found = socket.gethostbyname(host)
    except (OSError, UnicodeError):
        raise ConfigError(f"there is no address {host!r}. Name an IPv4 address of this computer.") from None
    with socket.socket() as trial:
        if os.name == "posix":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((found, port))
        except OSError as error:
            raise Unavailable(
                f"Nothing can listen at {found}:{port}: {error.strerror or error}. Choose another --port, or an "
                "address of this computer with --host."
            ) from error
    return found


def lend(host: str, port: int, threads: int) -> None:
    """Until Ctrl-C. Raises Unsupported where the library has no RPC, Unavailable where it ends."""
    path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
    command = [sys.executable, "-P", "-X", "utf8", "-m", "edgellm.backends.llamacpp.rpc_lend"]
    child = subprocess.Popen(
        [*command, f"{host}:{port}", str(threads)],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        code = child.wait()
    finally:
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if code == MISSING:
        raise Unsupported(missing_words())
    raise Unavailable(f"Lending ended ({exit_words(code)}). Start it again; the models that used it load anew.")
