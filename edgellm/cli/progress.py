"""Shows on stderr what a transfer or a load is doing: a bar or spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

PATIENCE_S = 1.0
PLAIN_STEP = 0.1
LASTING = "note: "
"""What begins like this is not erased by what comes next."""
BAR_WIDTH = 10
FIGURES_WIDTH = BAR_WIDTH + 39
"""Columns of a line that its label does not have."""


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
    """One redrawn line for each label, made of rich's parts once there is something to show; a note below them."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, label: str, done: int, total: int) -> None:
        self._progress = self._progress or _rich_progress()
        if label.startswith(LASTING):
            self._progress.console.print(label, markup=False, highlight=False)
            return
        self._note(label if not done and not total else "")
        if not done and not total:
            return
        if label not in self._tasks:  # with what an earlier attempt has brought, which says nothing of the speed
            short = _shortened(label, self._progress.console.width - FIGURES_WIDTH)
            self._tasks[label] = self._progress.add_task(short, total=total or None, completed=done)
        self._progress.update(self._tasks[label], completed=done, total=total or None)

    def _note(self, words: str) -> None:
        """Show `words`, which have no figures, until there is something else to show."""
        assert self._progress is not None
        if "" not in self._tasks:
            if not words:
                return
            self._tasks[""] = self._progress.add_task("", total=None)
        shown = _cut(words, self._progress.console.width - FIGURES_WIDTH)  # wider, it would push the figures out
        self._progress.update(self._tasks[""], description=shown, visible=bool(words))

    def close(self) -> None:
        if self._progress is not None:
            if "" in self._tasks:
                self._progress.update(self._tasks[""], visible=False)
            self._progress.stop()


def _shortened(label: str, width: int) -> str:
    """`downloading a-long-name:Q4_K_M` as `downloading …name:Q4_K_M`: names tell their models apart at the end."""
    verb, _, name = label.rpartition(" ")
    left = max(12, width - len(verb) - 2)
    return label if len(name) <= left + 1 else f"{verb} …{name[-left:]}"


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else words[: max(12, width) - 1] + "…"


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
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Figures(ProgressColumn):
        """`11.6/41.9 MB   2.8 MB/s   0:12`, of constant width, and nothing where there is nothing to count."""

        def render(self, task: Task) -> Text:
            return Text("" if task.total is None and not task.completed else _figures(task), no_wrap=True)

    class Bar(BarColumn):
        """Nothing where there is nothing to count; a bar that only moves would take the note's place."""

        def render(self, task: Task) -> Any:
            return super().render(task) if task.total else Text("")

    name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    progress = Progress(name, Bar(bar_width=BAR_WIDTH), Figures(), console=Console(stderr=True))
    progress.start()
    return progress


def _figures(task: Task) -> str:
    unit, name = (1e9, "GB") if max(task.total or 0, task.completed) >= 1e9 else (1e6, "MB")
    digits = 2 if unit == 1e9 else 1
    amount = f"{task.completed / unit:.{digits}f}"
    whole = f"{amount}/{task.total / unit:.{digits}f} {name}" if task.total else f"{amount} {name}"
    speed = f"{task.speed / 1e6:.1f} MB/s" if task.speed else ""
    return f"{whole:>17} {speed:>11} {_clock(task.time_remaining):>7}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
