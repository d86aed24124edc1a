"""`edgellm alias`: what names like code and default stand for, and moving them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgellm.catalog.catalog import Catalog
    from edgellm.config import Settings


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
    from edgellm import config
    from edgellm.catalog import aliases, catalog

    if reset:
        if model is not None:
            raise typer.BadParameter("--reset takes no MODEL")
        aliases.reset(name)
    elif name is not None and model is not None:
        aliases.move(name, model, catalog.current())
    rows = _rows(catalog.current(), name)
    _choose(rows, catalog.current(), config.load())
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


def _choose(rows: list[dict[str, Any]], known: Catalog, settings: Settings) -> None:
    """Add to each row of several models the one that this machine decides for now, and why. The hub is not asked."""
    several = [row for row in rows if len(row["models"]) > 1]
    if not several:
        return
    from edgellm.errors import EdgeLLMError
    from edgellm.runtime import suited
    from edgellm.runtime.locate import choose

    planning = suited.planner_of(settings)
    for row in several:
        try:
            chosen = choose(known.candidates(row["alias"]), known, settings, planning, ask=False)
        except EdgeLLMError:  # one of them is not known: whoever uses the alias is told
            continue
        row |= {"now": suited.name(chosen.target), "reason": chosen.reason}


def _table(rows: list[dict[str, Any]]) -> str:
    import textwrap

    width = max(len(row["alias"]) for row in rows)
    lines = [
        f"{row['alias'].ljust(width)}  {_meaning(row)}" for row in [{"alias": "ALIAS", "models": ["MODEL"]}, *rows]
    ]
    now = [f"{row['alias']}: {row['now']}, {row['reason']}." for row in rows if "now" in row]
    wrapped = [textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="    ") for text in now]
    return "\n".join([*lines, "", "Of several models the machine decides, at present:", *wrapped] if now else lines)


def _meaning(row: dict[str, Any]) -> str:
    return ", ".join(row["models"]) + (" (moved)" if row.get("moved") else "")
