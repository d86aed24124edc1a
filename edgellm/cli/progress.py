"""Shows on stderr what a transfer or a load is doing: a bar or spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 1.0
PLAIN_STEP = 0.1


def is_terminal() -> bool:
    """Whether stderr is a terminal that can redraw a line."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Meter:
    """A `Report` for people: call it with (label, bytes done, bytes in all). A context manager."""

    def __init__(self, terminal: bool | None = None) -> None:
        shown = is_terminal() if terminal is None else terminal
        self._view: _Bar | _Lines = _Bar() if shown else _Lines()

    def __call__(self, label: str, done: int, total: int) -> None:
        self._view.show(label, done, total)

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.close()


class _Bar:
    """One redrawn line for each label, made of rich's parts once there is something to show."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, label: str, done: int, total: int) -> None:
        self._progress = self._progress or _rich_progress()
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total or None)
        self._progress.update(self._tasks[label], completed=done, total=total or None)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


class _Lines:
    """A line at the start of each label, at every tenth of the way, and at the end."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or (lambda line: print(line, file=sys.stderr, flush=True))
        self._shown: dict[str, int] = {}

    def show(self, label: str, done: int, total: int) -> None:
        step = int(done / total / PLAIN_STEP + 1e-9) if total else 0
        if self._shown.get(label, -1) >= step:
            return
        self._shown[label] = step
        self._write(f"{label}: {100 * done // total}% of {total / 1e6:,.1f} MB" if total else label)

    def close(self) -> None:
        """Nothing to undo."""


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    progress.start()
    return progress


@asynccontextmanager
async def waiting(what: str) -> AsyncIterator[None]:
    """Say `what` on stderr when the block takes longer than a second; on a terminal it is erased afterwards."""
    import asyncio

    ticker = asyncio.create_task(_tick(what, is_terminal()))
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.wait([ticker])


async def _tick(what: str, terminal: bool) -> None:
    import asyncio

    started = time.monotonic()
    await asyncio.sleep(PATIENCE_S)
    if not terminal:
        print(f"{what} ...", file=sys.stderr, flush=True)
        return
    try:
        while True:
            for frame in "|/-\\":
                seconds = time.monotonic() - started
                print(f"\r{frame} {what} {seconds:.0f} s ", end="", file=sys.stderr, flush=True)
                await asyncio.sleep(0.1)
    finally:
        print("\r" + " " * (len(what) + 12) + "\r", end="", file=sys.stderr, flush=True)
