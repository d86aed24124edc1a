"""How a worker process is started, and how its exit is put in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgellm import errors
from edgellm.backends.llamacpp.rpc import LOST as RPC_LOST


def spawn(log: Path | None) -> subprocess.Popen[bytes]:
    """Start a worker with pipes at its standard input and output, and its errors in `log` or among ours.

    Plain `Popen`: asyncio's subprocesses need a special loop on Windows, and complain when a loop ends before them.
    """
    command = [sys.executable, "-P", "-X", "utf8", "-X", "faulthandler", "-m", "edgellm.runtime.worker"]
    # -P keeps a stray json.py of the current directory out; what we can import, the worker can.
    path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
    errors_to = log.open("ab") if log else None
    options: dict[str, Any] = {"start_new_session": True}  # a terminal's Ctrl-C is ours alone
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        return subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors_to,
            env=os.environ | {"PYTHONPATH": path},
            **options,
        )
    except OSError as error:
        raise errors.LoadError(f"A worker process for the model could not be started: {error}.") from error
    finally:
        if errors_to is not None:
            errors_to.close()


def is_crash(code: int) -> bool:
    """Whether native code ended itself, not somebody else or the system for want of memory."""
    crashes = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")
    return code > 255 or -code in {getattr(signal, name) for name in crashes if hasattr(signal, name)}


def exit_words(code: int) -> str:
    """An exit code as people know it: a signal's name, or a Windows status in hexadecimal."""
    if code == RPC_LOST:
        return "an RPC server that held layers of it broke off: see whether it still runs and can be reached"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code:#x}" if code > 255 else f"exit code {code}"
