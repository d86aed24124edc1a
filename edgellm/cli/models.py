"""`edgellm models`: what can be named after -m, and whether it is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgellm.catalog.catalog import Catalog, Entry
    from edgellm.catalog.found import Found
    from edgellm.download.manifest import Manifest
    from edgellm.runtime.upstream_lookout import Seen

PROGRAMS = {"ollama": "Ollama", "lm-studio": "LM Studio", "hub": "the hub's cache"}


def models(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
    here: Annotated[
        bool, typer.Option("--here", metavar="", help="Only those that are on this machine.", show_default=False)
    ] = False,
) -> int:
    """List the models that edgellm knows by name, those that it finds on this machine, and those of upstreams."""
    from edgellm.catalog import catalog
    from edgellm.download.store import Store

    store = Store()
    seen = [] if here else _seen()
    rows = [row for row in _rows(catalog.current(), store.root) if row["downloaded"] or not here]
    rows += [row for each in seen for row in _of_upstream(each)]
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
    else:
        print("\n".join([_table(rows, store.root), *(each.problem for each in seen if not each.answers)]))
    return 0


def _seen() -> Sequence[Seen]:
    from edgellm import config
    from edgellm.runtime import upstreams

    return upstreams.seen(config.load())


def _of_upstream(seen: Seen) -> Iterator[dict[str, Any]]:
    from edgellm.runtime.upstream_model import shown

    for model in seen.models:
        info = shown(seen.upstream, model, seen.flavour)
        unknown = dict.fromkeys(("title", "license", "bytes", "path"))
        yield {
            "name": info.name,
            "aliases": [],
            **unknown,
            "context": info.context_length or None,
            "parameters": info.parameters or None,
            "quantization": info.quantization or None,
            "downloaded": False,
            "origin": "upstream",
            "upstream": seen.upstream.name,
            "answers": seen.answers,
            "problem": seen.problem or None,
        }


def _rows(known: Catalog, root: Path) -> list[dict[str, Any]]:
    from edgellm import download
    from edgellm.download.store import Store

    others = _other_names(known)
    listed = [(entry, download.held(entry, root=root)) for entry in known.entries.values()]
    rows = [_known(entry, held, root, others.get(entry.name, ())) for entry, held in listed]
    taken = {row["path"] for row in rows}
    rows += [_kept(manifest) for manifest in Store(root).manifests() if str(manifest.path) not in taken]
    taken |= {row["path"] for row in rows}
    return rows + [_found(found) for found in _elsewhere() if str(found.path) not in taken]


def _other_names(known: Catalog) -> dict[str, list[str]]:
    """By model, the aliases that mean it on every machine."""
    names: dict[str, list[str]] = {}
    for alias in {**known.aliases, **known.choices}:
        candidates = known.candidates(alias)
        if len(candidates) == 1:
            names.setdefault(str(candidates[0]), []).append(alias)
    return names


def _elsewhere() -> list[Found]:
    import os
    from pathlib import Path

    from edgellm.catalog import found

    return found.models(os.environ, Path.home())


def _known(entry: Entry, held: Manifest | None, root: Path, others: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "aliases": list(dict.fromkeys((*entry.aliases, *others))),
        "title": entry.title,
        "license": entry.license,
        "context": entry.context or None,
        "parameters": entry.parameters or None,
        "quantization": entry.quantization,
        "bytes": held.bytes if held is not None else entry.bytes or None,
        "downloaded": held is not None,
        "path": str(held.path if held is not None else root / entry.name / entry.file),
        "origin": "catalog",
    }


def _kept(manifest: Manifest) -> dict[str, Any]:
    return _here(manifest.reference, manifest.path, manifest.bytes, manifest.origin, manifest.quantization)


def _found(found: Found) -> dict[str, Any]:
    return _here(found.name, found.path, found.bytes, found.origin, "")


def _here(name: str, path: Path, count: int, origin: str, quantization: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("title", "license", "context", "parameters"))
    return {
        "name": name,
        "aliases": [],
        **unknown,
        "quantization": quantization or None,
        "bytes": count,
        "downloaded": True,
        "path": str(path),
        "origin": origin,
    }


def _table(rows: list[dict[str, Any]], root: Path) -> str:
    """Those on this machine first. Files as paths below `root`: whole paths would not fit a terminal's width."""
    from edgellm.download.report import size

    lines = [("NAME", "PARAMS", "SIZE", "LICENSE", "WHERE")]
    for row in sorted(rows, key=lambda row: (not row["downloaded"], row["origin"] != "upstream")):
        name = f"{row['name']} (default)" if "default" in row["aliases"] else row["name"]
        count = f"{row['parameters'] / 1e9:.1f}B" if row["parameters"] else ""
        bytes_ = size(row["bytes"]) if row["bytes"] else ""
        lines.append((name, count, bytes_, row["license"] or "", _where(row, root)))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)) for line in lines]
    advice = ["`edgellm pull NAME` fetches one that is not here yet."] if not all(map(_is_here, rows)) else []
    return "\n".join([*table, "", *advice, f"Files are kept in {_short(root)}"])


def _is_here(row: dict[str, Any]) -> bool:
    return bool(row["downloaded"]) or row["origin"] == "upstream"


def _where(row: dict[str, Any], root: Path) -> str:
    import os
    from pathlib import Path

    if row["origin"] == "upstream":
        return f"on the upstream {row['upstream']}" + ("" if row["answers"] else ", which does not answer")
    if not row["downloaded"]:
        return "not here yet"
    path = Path(row["path"])
    if path.is_relative_to(root):
        return os.path.relpath(path, root)
    return f"in {PROGRAMS.get(row['origin'], PROGRAMS['hub'])}: {path.name}"


def _short(path: Path) -> str:
    """`path` with `~` for the home directory."""
    from pathlib import Path

    try:
        return str("~" / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere, or nobody's home
        return str(path)
