"""Conversations to files and back: Markdown of the branch that is shown, JSON with all branches."""

from __future__ import annotations

import asyncio
import itertools
import re
from pathlib import Path

from edgellm.errors import RequestError
from tui.store import chats, markdown_file, tree_file
from tui.store.store import Store

LONGEST = 60
"""Of a file's name, without what tells its kind."""


async def export(store: Store, chat: int, name: str) -> Path:
    """Write a conversation to the new file `name`: JSON if it ends so, else Markdown; "" names it by its title, in the
    folder where the app was begun. Raises RequestError."""
    path = _path(name) if name else _free(_slug((await store.read(chats.get, chat)).title))
    if path.suffix == ".json":
        data = await store.read(tree_file.write, [chat])
    else:
        data = (await store.read(markdown_file.write, chat)).encode()
    try:
        await asyncio.to_thread(_write_new, path, data)
    except FileExistsError:
        raise RequestError(f"{path} is there already. Name another file.") from None
    except OSError as error:
        raise RequestError(f"Cannot write {path}: {error.strerror or error}. Name another file.") from None
    return path.absolute()


async def take_in(store: Store, name: str) -> int:
    """Add the conversations of a file that `export` wrote; the id of the first. Raises RequestError, StoreError."""
    path = _path(name)
    try:
        data = await asyncio.to_thread(path.read_bytes)
        if path.suffix == ".json":
            found = await store.write(tree_file.read, data)
            if not found:
                raise RequestError(f"{path} holds no conversation.")
            return found[0].id
        return (await store.write(markdown_file.read, data.decode("utf-8-sig"))).id
    except OSError as error:
        raise RequestError(f"Cannot read {path}: {error.strerror or error}. Check its name.") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not text in UTF-8, and so no file that edgellm exported.") from None


def _slug(title: str) -> str:
    """A file's name that every system allows."""
    words = re.findall(r"\w+", title.lower())
    return "-".join(words)[:LONGEST].strip("-_") or "chat"


def _free(name: str) -> Path:
    """A name that no file has yet."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(path for each in itertools.chain([name], numbered) if not (path := Path(f"{each}.md")).exists())


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
