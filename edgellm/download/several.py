"""Runs the transfers of one model's files at once, reports them as one, and stops them all when one fails."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edgellm.download.report import Report
from edgellm.download.watch import Stopped, Watch

AT_ONCE = 4
LOOK_S = 0.1
STOP_S = 2.0
"""How long a stop waits for threads; one that a silent connection holds up ends by itself later, with its lock."""

Transfer = Callable[[Watch], None]


@dataclass
class _Job:
    transfer: Transfer
    watch: Watch
    error: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            self.watch.check()
            self.transfer(self.watch)
        except BaseException as error:  # told by the thread that waits
            self.error = error
        finally:
            self.ended.set()


def run(transfers: Sequence[Transfer], label: str, total: int, report: Report) -> None:
    """Run `transfers` some at a time; `report` is called by the calling thread only.

    `total` is the bytes that they bring, 0 if that will be known only when they run.

    Raises what the first to fail has raised. Ctrl-C, or an error of `report`, stops them all.
    """
    stop = threading.Event()
    jobs = [_Job(transfer, Watch(stop)) for transfer in transfers]
    threads = _start(jobs)
    try:
        while not all(job.ended.wait(LOOK_S) for job in jobs if not job.ended.is_set()):
            _tell(jobs, label, total, report)
            if any(job.error for job in jobs):
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOP_S)
    _raise_first(jobs)
    report(label, *_bytes(jobs, total))


def _start(jobs: Sequence[_Job]) -> list[threading.Thread]:
    """Daemons, so that none of them, held up by a silent connection, can keep the program from ending."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                waiting.get_nowait().run()

    threads = [threading.Thread(target=work, name="edgellm-download", daemon=True) for _ in jobs[:AT_ONCE]]
    for thread in threads:
        thread.start()
    return threads


def _tell(jobs: Sequence[_Job], label: str, total: int, report: Report) -> None:
    said = [job.watch.said for job in jobs if job.watch.said and not job.ended.is_set()]
    running = [job for job in jobs if not job.ended.is_set()]
    if said and len(said) >= min(len(running), AT_ONCE):
        report(said[0], 0, 0)
    else:
        report(label, *_bytes(jobs, total))


def _bytes(jobs: Sequence[_Job], total: int) -> tuple[int, int]:
    known = total or sum(job.watch.total for job in jobs)
    done = sum(job.watch.done for job in jobs)
    return (min(done, known) if known else done), known


def _raise_first(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.error is not None and not isinstance(job.error, Stopped):
            raise job.error
