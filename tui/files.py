"""Finds the files that a message can carry (`@name`) and reads them: text of a sensible size, nothing git ignores."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from edgellm.errors import RequestError
from edgellm.model import Model
from edgellm.request import Prompt
from tui import fuzzy
from tui.store.records import Attachment

MAX_FILES = 20_000
MAX_BYTES = 512 * 1024
_GIT_S = 5.0
_SKIPPED = frozenset(("node_modules", "__pycache__", "venv", "site-packages", "target", "build", "dist"))


def listing(folder: Path) -> tuple[str, ...]:
    """Names of files below `folder`, relative to it with `/`, shortest first; at most 20,000. Blocks: use a thread."""
    names = _of_git(folder)
    if names is None:
        names = _walked(folder)
    found = [name for _, name in zip(range(MAX_FILES), names, strict=False)]
    return tuple(sorted(found, key=lambda name: (name.count("/"), name.lower())))


def find(query: str, names: Sequence[str], limit: int = 20) -> tuple[str, ...]:
    """The names that fit best what was typed after `@`; all (the first of them) if nothing was."""
    return fuzzy.best(query, names, limit)


def is_file(folder: Path, name: str) -> bool:
    """Whether `read` has something to read; never raises."""
    try:
        return bool(name) and (folder / Path(name).expanduser()).is_file()
    except (OSError, RuntimeError, ValueError):  # too long a name, no such home, a zero byte
        return False


def read(folder: Path, name: str) -> Attachment:
    """The file as it is now. Raises RequestError for what is too large, not text, or cannot be read. Blocks."""
    path = folder / Path(name).expanduser()
    try:
        if not path.is_file():
            raise RequestError(f"There is no file {name}. Check its name.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequestError(f"Cannot read {name}: {error.strerror or error}.") from None
    if len(data) > MAX_BYTES:
        raise RequestError(f"{name} is larger than {MAX_BYTES // 1024} KiB. Attach the part that matters.")
    return Attachment(name=name, text=_text(name, data))


async def counted(model: Model, attachment: Attachment) -> Attachment:
    """With its exact number of tokens. Raises EdgeLLMError of the model."""
    tokens = len(await model.tokenize(Prompt(attachment.text)))
    return msgspec.structs.replace(attachment, tokens=tokens)


def _text(name: str, data: bytes) -> str:
    if b"\0" in data:
        raise RequestError(f"{name} is not a text file.")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise RequestError(f"{name} is not text in UTF-8. Convert it first.") from None


def _of_git(folder: Path) -> Iterator[str] | None:
    """What git tracks or would track; None where there is no git, or no repository."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_S, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    names = dict.fromkeys(os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    return _sound(name for name in names if (folder / name).is_file())


def _walked(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        below = Path(place).relative_to(folder)
        yield from _sound((below / name).as_posix() for name in sorted(names) if not name.startswith("."))


def _sound(names: Iterable[str]) -> Iterator[str]:
    """Without names that are not UTF-8: they could not be shown or stored."""
    return (name for name in names if name.isprintable())
