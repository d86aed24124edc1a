"""Brings a model that is one file, at an address or elsewhere in the file system, into the store."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgellm.catalog.sources import FileSource, UrlSource
from edgellm.download import arrival, copy, manifest as manifests, remote as remotes, several, trust, url
from edgellm.download.arrival import Place, Receive
from edgellm.download.manifest import Manifest
from edgellm.download.partial import Partial
from edgellm.download.remote import Remote
from edgellm.download.report import COPYING, DOWNLOADING, Report
from edgellm.download.store import Store
from edgellm.download.sums import checksum
from edgellm.download.wanted import Wanted, fit
from edgellm.download.watch import Watch
from edgellm.errors import ChecksumMismatch


def download(source: UrlSource, wanted: Wanted, store: Store, report: Report, *, trust_changed: bool) -> Manifest:
    """The file at an address. Raises DownloadError.

    Where nobody has published its sum, that which came first is remembered, and another one is refused from then on,
    unless `trust_changed`.
    """
    published = source.sha256 or wanted.sha256
    remembered = "" if published or trust_changed else trust.known(store.root, source.url)
    name = wanted.reference if wanted.reference == source.url else f"{wanted.reference} ({source.url})"
    remote = Remote(url=source.url, name=name, size=wanted.bytes or None, sha256=published or remembered)

    def receive(partial: Partial, watch: Watch) -> None:
        url.receive(remote, partial, watch)

    try:
        path, sha256 = _bring(remote, _file(wanted, source.url), wanted, store, receive, f"{DOWNLOADING} ", report)
    except ChecksumMismatch as error:
        raise (_changed(source.url, remembered, error) if remembered else error) from error
    if not published:
        trust.remember(store.root, source.url, sha256)
    return _manifest(wanted, "url", source.url, path, sha256, "catalog" if published else "first use")


def copied(source: FileSource, wanted: Wanted, store: Store, report: Report) -> Manifest:
    """A copy of a file of this machine or of a drive. Raises DownloadError."""
    original = Path(source.path).expanduser()
    remote = copy.remote(original, wanted.reference, size=wanted.bytes or None, sha256=wanted.sha256)

    def receive(partial: Partial, watch: Watch) -> None:
        copy.receive(original, partial, watch)

    path, sha256 = _bring(remote, _file(wanted, original.as_posix()), wanted, store, receive, f"{COPYING} ", report)
    return _manifest(wanted, "file", str(original), path, sha256, "catalog" if wanted.sha256 else "first use")


def _bring(
    remote: Remote, file: str, wanted: Wanted, store: Store, receive: Receive, verb: str, report: Report
) -> tuple[Path, str]:
    folder = store.root / wanted.folder
    place = Place(folder / file, folder / f"{file}.part", folder / f".{file}.lock")
    sums: list[str] = []

    def transfer(watch: Watch) -> None:
        sums.append(arrival.bring(remote, place, receive, watch))

    several.run([transfer], verb + wanted.reference, remote.size or 0, report)
    return place.target, sums[0] or _found(remote, place.target, report, wanted)


def _found(remote: Remote, path: Path, report: Report, wanted: Wanted) -> str:
    """The sum of a file that lay there already, as after a kill in the last moment; a wrong one is removed."""
    sha256 = checksum(path, report, wanted.reference)
    try:
        remotes.check(remote, path.stat().st_size, sha256, path)
    except ChecksumMismatch:
        path.unlink()
        raise
    return sha256


def _file(wanted: Wanted, address: str) -> str:
    return wanted.file or fit(unquote(urlsplit(address).path).rsplit("/", 1)[-1])


def _changed(address: str, remembered: str, error: ChecksumMismatch) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"the file at {address} is not the one that came first (sha256 {remembered}): {error} "
        "If its maker has changed it on purpose, `edgellm pull --trust-changed` takes the new one."
    )


def _manifest(
    wanted: Wanted, origin: manifests.Origin, source: str, path: Path, sha256: str, sums: manifests.Sums
) -> Manifest:
    return Manifest(
        reference=wanted.reference,
        folder=wanted.folder,
        origin=origin,
        source=source,
        quantization=wanted.quantization,
        sums=sums,
        files=(manifests.held(path.name, path, sha256),),
        fetched_at=time.time(),
    )
