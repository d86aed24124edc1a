"""`edgellm pull`: bring models to this machine, or check and renew those that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.cli.progress import Meter
    from edgellm.download.manifest import Manifest

HELP = "Names from `edgellm models`, user/repository[:QUANTIZATION] of the model hub, or https addresses."


def pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="MODEL", help=HELP, show_default=False)] = None,
    trust_changed: Annotated[
        bool,
        typer.Option(
            "--trust-changed", metavar="", help="Take a file from an address though it is not the one that came first."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
    offline: options.Offline = None,
) -> int:
    """Fetch models and check their sums. Those already here are checked, and brought up to date."""
    from edgellm import config
    from edgellm.cli.progress import Meter
    from edgellm.errors import EdgeLLMError

    settings = config.load({"offline": offline})
    rows, failures = [], []
    for name in names or ["default"]:
        try:
            with Meter() as meter:
                rows.append(_one(name, meter, settings.offline, trust_changed))
        except KeyboardInterrupt:
            import sys

            print(f"stopped; what has come of {name} is kept, and `edgellm pull {name}` goes on there", file=sys.stderr)
            raise
        except EdgeLLMError as error:
            if not names or len(names) == 1:
                raise
            failures.append(error)
            rows.append({"name": name, "error": {"code": error.code, "message": str(error)}})
        if not as_json:
            _tell(rows[-1])
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    return 1 if failures else 0


def _one(name: str, meter: Meter, offline: bool, trust_changed: bool) -> dict[str, Any]:
    from pathlib import Path

    from edgellm import download
    from edgellm.catalog import catalog

    target = catalog.resolve(name)
    if isinstance(target, Path):
        return {"name": name, "path": str(target), "state": "yours"}
    manifest, was_here = download.pull(target, meter, offline=offline, trust_changed=trust_changed)
    return _row(manifest, was_here)


def _row(manifest: Manifest, was_here: bool) -> dict[str, Any]:
    return {
        "name": manifest.reference,
        "path": str(manifest.path),
        "state": "here" if was_here else "fetched",
        "origin": manifest.origin,
        "source": manifest.source,
        "commit": manifest.commit,
        "quantization": manifest.quantization,
        "bytes": manifest.bytes,
        "sums": manifest.sums,
        "files": [{"file": held.file, "bytes": held.size, "sum": held.sum} for held in manifest.files],
    }


def _tell(row: dict[str, Any]) -> None:
    import sys

    if "error" in row:
        print(f"error: {' '.join(row['error']['message'].split())}", file=sys.stderr)
    elif row["state"] == "yours":
        print(f"{row['path']} is a file on this machine already; use it with -m")
    else:
        print(f"{row['name']} is {'already here' if row['state'] == 'here' else 'ready'}: {row['path']}")
        if row["sums"] == "first use" and row["state"] == "fetched":
            print(
                f"Nobody has published a sum for it. edgellm remembers this one (sha256 {row['files'][0]['sum']}) "
                "and refuses another from now on."
            )
