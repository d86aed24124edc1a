"""`edgellm prune`: remove what unfinished transfers and forgotten models have left."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def prune(
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON, for programs; removes nothing without --yes.")
    ] = False,
) -> int:
    """Remove parts of downloads that did not end, and models that the catalog no longer has."""
    from edgellm.catalog import catalog
    from edgellm.download import shelf
    from edgellm.download.report import size
    from edgellm.download.store import Store

    store = Store()
    found = shelf.leftovers(store, catalog.current().entries)
    total = sum(leftover.bytes for leftover in found)
    if not as_json:
        for leftover in found:
            print(f"{size(leftover.bytes):>9}  {leftover.path}  ({leftover.why})")
        if not found:
            print("there is nothing to remove")
            return 0
    removes = yes or (not as_json and _agreed(f"Remove these {len(found)}, {size(total)} in all?"))
    freed = sum(shelf.discard(leftover, store) for leftover in found) if removes else 0
    if as_json:
        import json

        import msgspec

        print(json.dumps({"found": msgspec.to_builtins(found), "removed": removes, "freed": freed}, indent=2))
    else:
        print(f"{size(freed)} are free again" if removes else "nothing was removed")
    return 0


def _agreed(question: str) -> bool:
    """Whether somebody at a terminal says yes. Raises typer.BadParameter where nobody sits."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; --yes removes them without a question")
    return typer.confirm(question)
