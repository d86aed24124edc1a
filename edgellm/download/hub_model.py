"""Brings a model from the hub into the cache that all its tools share, and finds it there without any request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from edgellm.catalog.sources import HubSource
from edgellm.download import arrival, hub_choice, manifest as manifests, several, space, url
from edgellm.download.hub import Hub, HubFile, Repository
from edgellm.download.hub_cache import Snapshot
from edgellm.download.hub_choice import Choice
from edgellm.download.manifest import Held, Manifest
from edgellm.download.partial import Partial
from edgellm.download.report import DOWNLOADING, Report
from edgellm.download.wanted import Wanted
from edgellm.download.watch import Watch
from edgellm.errors import NotAtSource


def find(source: HubSource, wanted: Wanted, hub: Hub) -> Manifest | None:
    """The model as the cache holds it, all of it, whoever brought it there; asks nobody."""
    for snapshot in hub.cache.snapshots(source.repository, source.revision):
        try:
            choice = hub_choice.choose(source, tuple(snapshot.files), wanted.quantization)
        except NotAtSource:
            continue
        if choice.format == "gguf":  # of a folder nobody could tell, without asking, whether it is complete
            files = tuple(_found(name, snapshot, hub) for name in choice.files)
            return _manifest(source, wanted, choice, snapshot.commit, files)
    return None


def fetch(
    source: HubSource,
    wanted: Wanted,
    hub: Hub,
    ours: set[str],
    note: Callable[[Manifest], None],
    report: Report,
) -> Manifest:
    """The model as the hub has it now: what the cache lacks is transferred, all files at once.

    `ours` are sums of files that edgellm has fetched or begun. `note` keeps what is to come, so that a kill does not
    blur whose files these are. Raises DownloadError.
    """
    repository = hub.repository(source.repository, source.revision)
    choice = hub_choice.choose(source, [file.path for file in repository.files], wanted.quantization)
    files = repository.find(choice.files)
    missing = [file for file in files if not _is_here(hub, repository, file)]
    ours = ours | {file.etag for file in missing}
    planned = _manifest(
        source, wanted, choice, repository.commit, tuple(_planned(hub, repository, file, ours) for file in files)
    )
    note(planned)
    if missing:
        _transfer(hub, repository, missing, wanted.reference, report)
    with space.writing(hub.cache.root, 0):
        for file in files:
            hub.cache.point(repository.name, repository.commit, file.path, file.etag)
        hub.cache.name(repository.name, source.revision, repository.commit)
    return msgspec.structs.replace(planned, files=tuple(_come(held) for held in planned.files))


def _planned(hub: Hub, repository: Repository, file: HubFile, ours: set[str]) -> Held:
    path = hub.cache.path(repository.name, repository.commit, file.path)
    return Held(file=file.path, path=str(path), size=file.size, mtime_ns=0, sum=file.etag, owned=file.etag in ours)


def _come(held: Held) -> Held:
    """What edgellm has transferred has been checked; what others have, when somebody asks for it."""
    return manifests.held(held.file, Path(held.path), held.sum) if held.owned else held


def _is_here(hub: Hub, repository: Repository, file: HubFile) -> bool:
    return hub.cache.holds(repository.name, repository.commit, file.path, file.etag, file.size)


def _transfer(hub: Hub, repository: Repository, files: Sequence[HubFile], name: str, report: Report) -> None:
    total = sum(file.size for file in files)
    begun = sum(hub.cache.place(repository.name, file.etag).begun for file in files)
    with space.writing(hub.cache.root, total):
        hub.cache.root.mkdir(parents=True, exist_ok=True)
        space.require(hub.cache.root, total - begun)
    transfers = [partial(_bring, hub, repository, file) for file in files]
    several.run(transfers, f"{DOWNLOADING} {name}", total, report)


def _bring(hub: Hub, repository: Repository, file: HubFile, watch: Watch) -> None:
    from huggingface_hub import constants

    remote = hub.remote(repository, file)

    def receive(part: Partial, watch: Watch) -> None:
        url.receive(
            remote, part, watch, stall_s=constants.HF_HUB_DOWNLOAD_TIMEOUT, refused=hub.refused(repository.name)
        )

    arrival.bring(remote, hub.cache.place(repository.name, file.etag), receive, watch)


def _found(name: str, snapshot: Snapshot, hub: Hub) -> Held:
    path = snapshot.files[name]
    size = path.stat().st_size
    return Held(file=name, path=str(path), size=size, mtime_ns=0, sum=hub.cache.etag(path), owned=False)


def _manifest(source: HubSource, wanted: Wanted, choice: Choice, commit: str, files: tuple[Held, ...]) -> Manifest:
    return Manifest(
        reference=wanted.reference,
        folder=wanted.folder,
        origin="hub",
        source=source.repository,
        quantization=choice.quantization,
        format=choice.format,
        revision=source.revision,
        commit=commit,
        files=files,
        fetched_at=time.time(),
    )
