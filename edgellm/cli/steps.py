"""Shows on stderr how far something that counts steps has come, such as a compilation."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from edgellm.cli.progress import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PARTS = 10


class StepMeter:
    """Call it with (label, steps done, steps in all or 0). A context manager."""

    def __init__(self, terminal: bool | None = None) -> None:
        self._terminal = is_terminal() if terminal is None else terminal
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._shown: dict[str, int] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._terminal:
            self._redraw(label, done, total)
            return
        part = PARTS * done // total if total else 0
        if self._shown.get(label, -1) < part:
            self._shown[label] = part
            print(f"{label}: {done} of {total}" if total else label, file=sys.stderr, flush=True)

    def _redraw(self, label: str, done: int, total: int) -> None:
        self._progress = self._progress or _bar()
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total or None)
        self._progress.update(self._tasks[label], completed=done, total=total or None)
        if 0 < total <= done:  # the terminal belongs to whatever comes next
            self._stop()

    def __enter__(self) -> StepMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    progress.start()
    return progress
