"""A database for operations without the thread of a store around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from tui.store import database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    opened = database.open_database(tmp_path / "conversations")
    yield opened.connection
    opened.close()
