"""The one door to the database: operations run one after another, each a transaction, never on the caller's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

from tui.store import database
from tui.store.database import Opened
from tui.store.refusal import Closed

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """`await store.write(entries.add, chat, ...)`: an operation is a function whose first parameter is a connection.

    `chats`, `entries`, `drafts`, `presets`, `search` and so on in this package hold the operations. A write that was
    asked for is done even if its caller is cancelled. Errors: `StoreError`, with what to do.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` holds `chats.db` and all that belongs to it; nothing is touched before `open`."""
        self.folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chats")
        self._opened: Opened | None = None
        self._closed = False

    async def open(self) -> tuple[str, ...]:
        """Make the database ready; sentences for the user on what was found amiss (a damaged file set aside).

        Raises StoreError where no conversation could be kept at all. Idempotent.
        """
        return await self._on_thread(self._open)

    async def read(self, operation: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `operation` returns, from one consistent snapshot."""
        return await self._on_thread(lambda: database.transact(self._connection, False, operation, *args, **kwargs))

    async def write(self, operation: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `operation` wholly or not at all; when this returns its changes are on disk."""
        return await self._on_thread(lambda: database.transact(self._connection, True, operation, *args, **kwargs))

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Idempotent."""
        await self._on_thread(self._close)

    @property
    def owner(self) -> str:
        """Names this process in the database while it is open, for answers that are being written."""
        assert self._opened is not None, "open the store first"
        return self._opened.owner

    @property
    def _connection(self) -> Connection:
        if self._closed:
            raise Closed("The conversations are closed: the app is ending.")
        assert self._opened is not None, "open the store first"
        return self._opened.connection

    def _open(self) -> tuple[str, ...]:
        if self._opened is None:
            self._opened, self._closed = database.open_database(self.folder), False
        return self._opened.notes

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened, self._closed = None, True

    async def _on_thread(self, work: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await asyncio.shield(future)  # a cancelled caller must not take a queued write with it
