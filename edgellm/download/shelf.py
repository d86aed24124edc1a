"""What edgellm keeps on this machine: found by any of its names, checked, removed, and what is left over of it."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from edgellm.download import manifest as manifests, presence
from edgellm.download.hub import Hub
from edgellm.download.manifest import COMING, Held, Manifest
from edgellm.download.report import Report, silent
from edgellm.download.store import Store

LOCK = ".lock"


class Leftover(msgspec.Struct, frozen=True):
    """Something that nobody needs any more, in bytes and words; `folder` is the model's in the store."""

    path: str
    bytes: int
    why: str
    folder: str


def by_name(text: str, store: Store) -> Manifest | None:
    """The model here that `text` names as it was named when it came, in the catalog or not."""
    wanted = text.strip().lower().removeprefix("https://").removeprefix("hf.co/").removeprefix("huggingface.co/")
    return next(
        (found for found in store.manifests() if found.reference.lower() == wanted or found.reference == text), None
    )


def check(manifest: Manifest, store: Store, report: Report = silent) -> list[Held]:
    """The damaged files of a model, every one read from its first byte to its last; what is learnt is kept."""
    learnt, damaged = presence.checked(manifest, report, all_again=True)
    if not damaged and store.manifest(manifest.folder) is not None:
        with store.lock(manifest.folder, report):
            store.keep(learnt)
    return damaged


def remove(manifest: Manifest, store: Store, report: Report = silent) -> int:
    """Remove what edgellm has fetched of a model; returns the bytes freed.

    Files that another tool brought stay, and so do those that lie outside of the store and the hub's cache.
    """
    folder = store.root / manifest.folder
    with store.lock(manifest.folder, report):
        freed = 0
        if manifest.origin == "hub":
            owned = [Path(held.path) for held in manifest.files if held.owned]
            freed = Hub(offline=True).cache.forget(manifest.source, owned)
        freed += sum(_bytes(path) for path in _inside(folder))
        for path in _inside(folder):
            _delete(path)
    _delete(folder)
    return freed


def leftovers(store: Store, known: Container[str]) -> list[Leftover]:
    """Parts of transfers that did not end, and models whose names are not `known` to the catalog any more.

    What another process is writing just now is left out.
    """
    found: list[Leftover] = []
    for folder in sorted(path for path in store.root.glob("*") if path.is_dir()):
        if _is_busy(folder):
            continue
        kept = manifests.read(folder)
        if _is_forgotten(folder.name, kept, known):
            size = sum(_bytes(path) for path in _inside(folder))
            found.append(Leftover(str(folder), size, "the catalog no longer has this model", folder.name))
        else:
            found.extend(
                Leftover(str(path), _bytes(path), "an unfinished transfer", folder.name) for path in _parts(folder)
            )
    return found


def discard(leftover: Leftover, store: Store) -> int:
    """Remove one of the leftovers; returns the bytes freed."""
    kept = store.manifest(leftover.folder)
    if kept is not None and Path(leftover.path) == store.root / leftover.folder:
        return remove(kept, store)
    with store.lock(leftover.folder):
        _delete(Path(leftover.path))
        (store.root / leftover.folder / COMING).unlink(missing_ok=True)
    if not _inside(store.root / leftover.folder):
        _delete(store.root / leftover.folder)
    return leftover.bytes


def _is_forgotten(name: str, kept: Manifest | None, known: Container[str]) -> bool:
    """Whether this came by a name that means nothing any more; repositories and addresses always mean the same."""
    reference = kept.reference if kept is not None else name
    if kept is None and "--" in name:
        return False
    return "/" not in reference and reference.partition(":")[0] not in known


def _parts(folder: Path) -> Iterator[Path]:
    for pattern in ("*.part", "*.part.version", "*.partial", ".staging"):
        yield from folder.glob(pattern)
    coming = manifests.read(folder, COMING)
    if coming is None or coming.origin != "hub":
        return
    cache = Hub(offline=True).cache
    for held in coming.files:
        part = cache.place(coming.source, held.sum).part
        if held.owned and part.is_file():
            yield part


def _inside(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.name != LOCK]


def _is_busy(folder: Path) -> bool:
    import filelock

    if not (folder / LOCK).exists():
        return False
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True


def _bytes(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    except OSError:
        return 0


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
