"""`edgellm ps`: the models that the running server has in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer


def ps(as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False) -> int:
    """Show which models the running server has in memory, what they take, and until when they stay."""
    from edgellm.cli import own_server

    server = own_server.running()
    rows = [_loaded(entry) for entry in server.loaded()]
    rows += [_coming(entry) for entry in server.listed() if _state(entry) in ("loading", "unloading")]
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    elif rows:
        print(_table(rows))
    else:
        print(f"The server at {server.url} has no model in memory. Each is loaded when somebody asks for it.")
    return 0


def _loaded(entry: dict[str, Any]) -> dict[str, Any]:
    stays = entry["expires_at"].startswith("9999")
    return {
        "name": entry["name"],
        "state": "loaded",
        "memory_bytes": entry["size"] - entry["size_vram"],
        "gpu_bytes": entry["size_vram"],
        "context": entry["context_length"],
        "running": entry.get("running", 0),
        "waiting": entry.get("waiting", 0),
        "pinned": entry.get("pinned", False),
        "expires_at": None if stays else entry["expires_at"],
    }


def _state(entry: dict[str, Any]) -> str:
    return str(entry.get("status", {}).get("value", ""))


def _coming(entry: dict[str, Any]) -> dict[str, Any]:
    nothing = {"memory_bytes": 0, "gpu_bytes": 0, "context": 0, "running": 0, "waiting": 0, "pinned": False}
    return {"name": entry["id"], "state": _state(entry), **nothing, "expires_at": None}


def _table(rows: list[dict[str, Any]]) -> str:
    lines: list[tuple[str, ...]] = [("NAME", "MEMORY", "CONTEXT", "RUNNING", "WAITING", "UNTIL")]
    lines += [_line(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)).rstrip() for line in lines
    )


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    from edgellm.download.report import size

    if row["state"] != "loaded":
        return (row["name"], row["state"], "", "", "", "")
    gpu = f" + {size(row['gpu_bytes'])} GPU" if row["gpu_bytes"] else ""
    counts = (str(row["context"]), str(row["running"]), str(row["waiting"]))
    return (row["name"], size(row["memory_bytes"]) + gpu, *counts, _until(row))


def _until(row: dict[str, Any]) -> str:
    if row["pinned"]:
        return "the server stops"
    if row["expires_at"] is None:
        return "it is told to go"
    seconds = (datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)).total_seconds()
    return f"{max(0, round(seconds))} s from now" if seconds < 120 else f"{round(seconds / 60)} min from now"
