"""A store, and a database for operations without the thread around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from tui.store import database
from tui.store.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open, in a folder of its own."""
    opened = Store(tmp_path / "conversations")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    opened = database.open_database(tmp_path / "conversations")
    yield opened.connection
    opened.close()
