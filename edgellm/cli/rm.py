"""`edgellm rm`: remove models that edgellm has fetched."""

from __future__ import annotations

from typing import Annotated

import typer


def rm(
    names: Annotated[list[str], typer.Argument(metavar="MODEL", help="As `edgellm models` names them.")],
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """Remove models from this machine. Files that other programs have brought stay."""
    from edgellm.cli import kept
    from edgellm.cli.progress import Meter
    from edgellm.download import shelf
    from edgellm.download.report import size
    from edgellm.download.store import Store

    store = Store()
    # All are looked up first, so that a name misspelt removes nothing.
    manifests = [kept.named(name, store) for name in names]
    rows = []
    for manifest in manifests:
        with Meter() as meter:
            freed = shelf.remove(manifest, store, meter)
        left = [held.path for held in manifest.files if not held.owned]
        rows.append({"name": manifest.reference, "freed": freed, "left": left})
        if not as_json:
            print(f"{manifest.reference} is removed; {size(freed)} are free again")
            if left:
                print(f"Another program brought {left[0]}, so it stays; `hf cache` removes what lies there.")
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    return 0
