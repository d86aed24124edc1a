"""Operations on named options for new conversations, and on the app's own preferences."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from tui.store import rows
from tui.store.records import Options, Preset


def save(connection: Connection, preset: Preset) -> None:
    """Add it, or replace the one of its name."""
    values = (rows.readable(preset.name), rows.written(preset.options))
    connection.execute("INSERT OR REPLACE INTO presets (name, options) VALUES (?, ?)", values)


def remove(connection: Connection, name: str) -> None:
    connection.execute("DELETE FROM presets WHERE name = ?", (name,))


def listing(connection: Connection) -> tuple[Preset, ...]:
    """All, by name."""
    found = connection.execute("SELECT * FROM presets ORDER BY name COLLATE NOCASE, name")
    return tuple(Preset(name=row["name"], options=rows.json(row["options"], Options, Options())) for row in found)


def changes(preset: Preset) -> dict[str, Any]:
    """The fields of `Options` that a conversation takes over from it."""
    options = preset.options
    taken = ("system", "sampling", "max_tokens", "thinking")
    return {name: getattr(options, name) for name in taken} | {"preset": preset.name}


def set_preference(connection: Connection, name: str, value: str | int | float | bool | None) -> None:
    """Remember a choice made in the app (theme, sidebar, model); None forgets it."""
    connection.execute("DELETE FROM preferences WHERE name = ?", (name,))
    if value is not None:
        connection.execute("INSERT INTO preferences (name, value) VALUES (?, ?)", (name, rows.written(value)))


def preferences(connection: Connection) -> dict[str, str | int | float | bool]:
    found = connection.execute("SELECT * FROM preferences").fetchall()
    kept: dict[str, str | int | float | bool] = {}
    for row in found:
        value: str | int | float | bool | None = rows.json(row["value"], str | int | float | bool, None)
        if value is not None:
            kept[row["name"]] = value
    return kept
