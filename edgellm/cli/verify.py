"""`edgellm verify`: read the files of models again and compare their sums."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="All that are here, if none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """Check the sums of models on this machine. The exit code is 1 if a file is damaged."""
    from edgellm.cli import kept
    from edgellm.cli.progress import Meter
    from edgellm.download import shelf
    from edgellm.download.store import Store

    store = Store()
    manifests = [kept.named(name, store) for name in names] if names else list(store.manifests())
    rows: list[dict[str, Any]] = []
    for manifest in manifests:
        with Meter() as meter:
            damaged = shelf.check(manifest, store, meter)
        rows.append(
            {
                "name": manifest.reference,
                "path": str(manifest.path),
                "ok": not damaged,
                "damaged": [held.path for held in damaged],
                "unknown": [held.path for held in manifest.files if not held.sum],
                "sums": manifest.sums,
            }
        )
        if not as_json:
            print(_line(rows[-1]))
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    elif not rows:
        print("no models are here yet; `edgellm pull` fetches one")
    return 0 if all(row["ok"] for row in rows) else 1


def _line(row: dict[str, Any]) -> str:
    if row["damaged"]:
        return f"{row['name']}: DAMAGED: {', '.join(row['damaged'])}; `edgellm pull {row['name']}` fetches it again"
    if row["unknown"]:
        return f"{row['name']}: nobody knows a sum to compare with"
    return f"{row['name']}: ok" + (" (as it first came)" if row["sums"] == "first use" else "")
