"""Shows on stderr what a benchmark is measuring: one line that is redrawn on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from edgellm.cli.progress import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Line:
    """Call it with (what is measured now, steps done, steps in all). A context manager, which erases the line."""

    def __init__(self, terminal: bool | None = None) -> None:
        self._terminal = is_terminal() if terminal is None else terminal
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._terminal:
            print(f"{min(done + 1, total)} of {total}: {what}", file=sys.stderr, flush=True)
            return
        if self._progress is None or self._task is None:
            self._progress = _bar()
            self._task = self._progress.add_task(what, total=total)
        self._progress.update(self._task, description=what, completed=done, total=total)

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.start()
    return progress
