"""Runs the trial of a fork of llama.cpp in a process of its own, which may die: that is an outcome too."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil
from msgspec.structs import replace

from edgellm.config import ModelSettings
from edgellm.runtime.native_trial import STEP, Trial
from edgellm.runtime.spawn import exit_words

Telling = Callable[[int], None]
"""Called several times a second with the steps done, of `native_trial.STEPS`; what it raises ends the trial."""

_SECONDS_A_GIB = 120.0
_LEAST_SECONDS = 120.0
_POLL_S = 0.2


def run_trial(path: Path, settings: ModelSettings, telling: Telling = lambda step: None) -> Trial:
    """Raises what `telling` raises, with nothing left running."""
    both_fit = 3 * path.stat().st_size < psutil.virtual_memory().available / 2
    plain = replace(settings, backend="llama.cpp", kv_type="f16")
    command = [sys.executable, "-P", "-X", "utf8", "-m", "edgellm.runtime.native_trial"]
    command += [str(path), msgspec.json.encode(plain).decode(), str(int(both_fit))]
    patience = _LEAST_SECONDS + _SECONDS_A_GIB * path.stat().st_size / 2**30
    try:
        code, said = _followed(command, patience, telling)
    except subprocess.TimeoutExpired:
        return Trial(problem=f"trying it took more than {patience:.0f} s", sure=False)
    except OSError as error:
        return Trial(problem=f"it could not be tried: {error}", sure=False)
    if code != 0:
        crashed = code < 0 or code > 255  # else it may have been stock llama.cpp, or too little memory
        return Trial(problem=f"trying it ended with {exit_words(code)}", sure=crashed)
    try:
        return msgspec.json.decode(said[-1], type=Trial)
    except (IndexError, msgspec.MsgspecError):
        return Trial(problem="trying it gave no result", sure=False)


def _followed(command: Sequence[str], patience: float, telling: Telling) -> tuple[int, list[bytes]]:
    """The exit code and the lines that were said. Raises TimeoutExpired, OSError and what `telling` raises."""
    search = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
    said: list[bytes] = []
    deadline = time.monotonic() + patience
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": search},
    ) as child:
        assert child.stdout is not None
        reader = threading.Thread(target=said.extend, args=(child.stdout,), name="trial", daemon=True)
        reader.start()
        try:
            while (code := child.poll()) is None:
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(list(command), patience)
                telling(sum(line.strip() == STEP for line in said))
                time.sleep(_POLL_S)
        except BaseException:
            child.kill()
            raise
        reader.join()
    return code, said
