"""Runs this machine's own, configured pip to its end, or ends it and everything that it started."""

from __future__ import annotations

import importlib.util
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from edgellm.errors import DownloadError

POLL_S = 0.1


def run(
    words: Sequence[str],
    *,
    tick: Callable[[], None] = lambda: None,
    line: Callable[[str], None] = lambda text: None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[int, str]:
    """pip's exit code and the last of what it said. `line` gets each line of it, `tick` is called all along.

    Raises DownloadError when this Python has no pip. Whatever else ends it (Ctrl-C, an error of `tick` or `line`)
    ends pip too, and the compilers that pip may have started.
    """
    process = subprocess.Popen(
        command(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environ),
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    kept: list[str] = []
    try:
        while reader.is_alive() or not lines.empty():
            _drain(lines, kept, line)
            tick()
        return process.wait(), "\n".join(kept)
    finally:
        _end(process)


def command(words: Sequence[str]) -> list[str]:
    """The command line of pip in this Python, quiet about itself and never asking."""
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise DownloadError(
            "this Python has no pip, which is how packages are fetched and built. "
            f"Run `{sys.executable or 'python'} -m ensurepip`, then try again."
        )
    # -P: a directory called pip where the user happens to stand is not what we mean.
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    verb, *rest = words
    return [sys.executable, "-P", "-m", "pip", verb, *options, *rest]


def reason(output: str) -> str:
    """The last error of pip's own in `output`, in a few words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no reason given"])[-1][:300].rstrip(".")


def _read(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        lines.put(raw.decode("utf-8", "replace").rstrip())


def _drain(lines: queue.SimpleQueue[str], kept: list[str], line: Callable[[str], None]) -> None:
    """Hand on what has come, waiting a moment for the first of it."""
    wait = POLL_S
    while True:
        try:
            text = lines.get(timeout=wait)
        except queue.Empty:
            return
        kept.append(text)
        del kept[:-400]
        line(text)
        wait = 0.001


def _end(process: subprocess.Popen[bytes]) -> None:
    """A build is a tree of processes, and killing its root alone would leave the compilers at work."""
    if process.poll() is not None:
        return
    import psutil

    try:
        tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        tree = []
    for member in tree:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
