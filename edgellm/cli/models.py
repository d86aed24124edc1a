"""`edgellm models`: what can be named after -m, and whether it is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from edgellm.catalog.catalog import Entry
    from edgellm.download.store import Store


def models(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """List the models that edgellm knows by name."""
    from edgellm.catalog import catalog
    from edgellm.download.store import Store

    store = Store()
    rows = [_row(entry, store) for entry in catalog.shipped().entries.values()]
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    else:
        print(_table(rows, store.root))
    return 0


def _row(entry: Entry, store: Store) -> dict[str, Any]:
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "title": entry.title,
        "license": entry.license,
        "context": entry.context,
        "parameters": entry.parameters,
        "quantization": entry.quantization,
        "bytes": entry.bytes,
        "downloaded": store.is_present(entry),
        "path": str(store.path(entry)),
    }


def _table(rows: list[dict[str, Any]], root: Path) -> str:
    """Files as paths below `root`, which the last line names: whole paths would not fit a terminal's width."""
    import os

    from edgellm.download.report import size

    lines = [("NAME", "SIZE", "LICENSE", "WHERE")]
    for row in rows:
        where = os.path.relpath(row["path"], root) if row["downloaded"] else f"not here yet: edgellm pull {row['name']}"
        name = f"{row['name']} (default)" if "default" in row["aliases"] else row["name"]
        lines.append((name, size(row["bytes"]), row["license"], where))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)) for line in lines]
    return "\n".join([*table, "", f"Files are kept in {_short(root)}"])


def _short(path: Path) -> str:
    """`path` with `~` for the home directory."""
    from pathlib import Path

    try:
        return str("~" / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere, or nobody's home
        return str(path)
