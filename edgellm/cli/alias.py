"""`edgellm alias`: what names like code and default stand for, and moving them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgellm.catalog.catalog import Catalog


def alias(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An alias; a new one is made.")] = None,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="What it shall stand for: all that -m takes.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", metavar="", help="Undo what was moved: NAME, or all without one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """Show what aliases stand for, or let NAME stand for MODEL."""
    from edgellm.catalog import aliases, catalog

    if reset:
        if model is not None:
            raise typer.BadParameter("--reset takes no MODEL")
        aliases.reset(name)
    elif name is not None and model is not None:
        aliases.move(name, model, catalog.current())
    rows = _rows(catalog.current(), name)
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    else:
        print(_table(rows))
    return 0


def _rows(known: Catalog, only: str | None) -> list[dict[str, Any]]:
    """One row an alias. Raises ModelNotFound for a name that is none."""
    from edgellm.catalog import aliases
    from edgellm.errors import ModelNotFound

    moved = aliases.read()
    names = sorted({*known.aliases, *known.choices})
    if only is not None:
        wanted = aliases.check_name(only)
        if wanted not in names:
            if wanted in known.entries:
                raise ModelNotFound(f"{wanted!r} is the name of a model, not an alias. `edgellm alias` lists them.")
            raise ModelNotFound(f"there is no alias {wanted!r}. Make it: `edgellm alias {wanted} MODEL`.")
        names = [wanted]
    return [
        {"alias": name, "models": [str(found) for found in known.candidates(name)], "moved": name in moved}
        for name in names
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    width = max(len(row["alias"]) for row in rows)
    lines = [
        f"{row['alias'].ljust(width)}  {_meaning(row)}" for row in [{"alias": "ALIAS", "models": ["MODEL"]}, *rows]
    ]
    several = any(len(row["models"]) > 1 for row in rows)
    return "\n".join([*lines, "", "Of several models the machine decides."] if several else lines)


def _meaning(row: dict[str, Any]) -> str:
    return ", ".join(row["models"]) + (" (moved)" if row.get("moved") else "")
