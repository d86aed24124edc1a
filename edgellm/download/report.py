"""How a transfer tells what it is doing: `Report(label, done, total)`, in bytes."""

from __future__ import annotations

from collections.abc import Callable

# Raising from a report stops the transfer and cleans up, as Ctrl-C does.
Report = Callable[[str, int, int], None]

DOWNLOADING = "downloading"
COPYING = "copying"
UNPACKING = "unpacking"
VERIFYING = "verifying"
NOTE = "note"
WAITING = "waiting for another download of"


def silent(label: str, done: int, total: int) -> None:
    """A report nobody reads."""


def size(count: int) -> str:
    """`count` bytes for people, in powers of 1000: `98.4 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
