"""Disk space: asked for before a transfer, and named with its numbers when it runs out in the middle."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgellm.download.report import size
from edgellm.errors import DownloadError

# Windows reports a full disk as ERROR_DISK_FULL (112) or ERROR_HANDLE_DISK_FULL (39).
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FULL_WINDOWS = {39, 112}


def require(directory: Path, needed: int) -> None:
    """Raises DownloadError when the disk of `directory` has less than `needed` bytes free."""
    if shutil.disk_usage(directory).free < needed:
        raise full(directory, needed)


def full(directory: Path, needed: int) -> DownloadError:
    """The error for a disk on which `needed` bytes do not fit."""
    free = shutil.disk_usage(directory).free
    return DownloadError(
        f"the disk is full: {size(needed)} are needed in {directory} and {size(free)} are free. "
        "Make room, or set EDGELLM_HOME to a directory on a larger disk."
    )


def is_full(error: OSError) -> bool:
    """Whether the system refused to write because the disk or the user's share of it is used up."""
    return error.errno in _FULL or getattr(error, "winerror", None) in _FULL_WINDOWS


@contextmanager
def writing(directory: Path, needed: int) -> Iterator[None]:
    """Turns what the file system refuses inside the block into a DownloadError."""
    try:
        yield
    except BrokenPipeError:  # whoever watches the progress is gone, which is not the disk's fault
        raise
    except OSError as error:
        if is_full(error):
            raise full(directory, needed) from error
        reason = error.strerror or str(error)
        raise DownloadError(f"cannot write in {directory}: {reason}. Make it writable and try again.") from error
