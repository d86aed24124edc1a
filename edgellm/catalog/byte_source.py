"""Bytes at a place, of a file that nobody vouches for: `ByteSource`, and `FileBytes`, a local file as one."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from edgellm.errors import LoadError, ModelNotFound, NotAModel


class ByteSource(Protocol):
    """Somewhere `size` bytes lie. `name` is for messages; `first_block` and `largest_block` say what one read suits."""

    name: str
    first_block: int
    largest_block: int

    @property
    def size(self) -> int:
        """Bytes in all. A remote source may have to ask before it knows."""

    def read(self, start: int, size: int) -> bytes:
        """The `size` bytes from `start` on, or as many as there are. Raises an EdgeLLMError when they cannot be had."""


class FileBytes:
    """A local regular file. Raises ModelNotFound, NotAModel or LoadError when it cannot be opened; close it."""

    first_block = 2**16
    largest_block = 2**20

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.size, self._file = _opened(path)

    def read(self, start: int, size: int) -> bytes:
        try:
            self._file.seek(start)
            return self._file.read(max(0, min(size, self.size - start)))
        except OSError as error:
            raise LoadError(f"cannot read {self.name}: {error.strerror or error}. Check the drive.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _opened(path: Path) -> tuple[int, io.FileIO]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before opening: a pipe would make us wait
            raise NotAModel(f"{path} is not a file. Name a model file.")
        file = io.FileIO(path)
        return os.fstat(file.fileno()).st_size, file
    except (FileNotFoundError, NotADirectoryError):
        raise ModelNotFound(f"there is no model file {path}. Check the path, or download the model.") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"cannot read {path}: {error}. Check the path and its permissions.") from error
