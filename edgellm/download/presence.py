"""What is on this machine of a model that is wanted, found without asking anybody, and whether it is still sound."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edgellm.catalog.sources import HubSource
from edgellm.download import hub_model, manifest as manifests, remote as remotes, stamp
from edgellm.download.hub import Hub
from edgellm.download.manifest import Held, Manifest
from edgellm.download.report import Report
from edgellm.download.store import Store
from edgellm.download.sums import checksum
from edgellm.download.wanted import Wanted

SHA256_DIGITS, GIT_DIGITS = 64, 40


def find(wanted: Wanted, store: Store) -> Manifest | None:
    """The model, if all its files are here: fetched by edgellm, or by another tool of the hub."""
    kept = store.manifest(wanted.folder)
    if kept is not None and kept.is_present:
        return kept
    if plain := _plain(wanted, store):
        return plain
    for source in wanted.sources:
        if isinstance(source, HubSource) and (found := hub_model.find(source, wanted, Hub(offline=True))):
            return found
    return None


def _plain(wanted: Wanted, store: Store) -> Manifest | None:
    """A file that lies where the model belongs, put there by hand or before there were manifests."""
    path = store.root / wanted.folder / wanted.file
    if not wanted.file or not wanted.bytes or not path.is_file() or path.stat().st_size != wanted.bytes:
        return None
    held = manifests.held(wanted.file, path, wanted.sha256)
    if not stamp.holds(path, wanted.sha256):
        held = msgspec.structs.replace(held, mtime_ns=0)
    return Manifest(
        reference=wanted.reference,
        folder=wanted.folder,
        origin="file",
        source=str(path),
        quantization=wanted.quantization,
        sums="catalog",
        files=(held,),
        fetched_at=time.time(),
    )


def checked(manifest: Manifest, report: Report, *, all_again: bool = False) -> tuple[Manifest, list[Held]]:
    """The files read where they look different from when they were last found right, or `all_again`.

    Returns the manifest with what has been learnt, and the damaged files. One whose sum nobody knows is taken as it is.
    """
    learnt: list[Held] = []
    damaged: list[Held] = []
    for held in manifest.files:
        if not all_again and held.is_untouched:
            learnt.append(held)
        elif held.is_present and _is_sound(held, report):
            status = Path(held.path).stat()
            learnt.append(msgspec.structs.replace(held, mtime_ns=status.st_mtime_ns))
        else:
            learnt.append(held)
            damaged.append(held)
    return msgspec.structs.replace(manifest, files=tuple(learnt)), damaged


def _is_sound(held: Held, report: Report) -> bool:
    path = Path(held.path)
    if len(held.sum) == SHA256_DIGITS:
        return checksum(path, report, held.file) == held.sum
    if len(held.sum) == GIT_DIGITS:
        return remotes.git_sha1(path) == held.sum
    return True
