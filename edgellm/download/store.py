"""Where each model's file lies, and how it gets there: one writer at a time, checked, and complete or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgellm import paths
from edgellm.catalog.catalog import Entry
from edgellm.download import manifest as manifests, space, stamp
from edgellm.download.lock import holding
from edgellm.download.manifest import COMING, Manifest
from edgellm.download.report import Report, silent, size
from edgellm.download.sums import checksum
from edgellm.errors import ChecksumMismatch


class Store:
    """Model files below `root` (by default the user's models directory), one directory a model."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or paths.models_dir()

    def path(self, entry: Entry) -> Path:
        return self.root / entry.name / entry.file

    def staging(self, entry: Entry) -> Path:
        """Where a transfer keeps its parts until the model is installed."""
        return self.root / entry.name / ".staging"

    def is_present(self, entry: Entry) -> bool:
        """Whether the file is there in its full size; the sum was checked when it was installed."""
        try:
            return self.path(entry).stat().st_size == entry.bytes
        except OSError:
            return False

    def is_verified(self, entry: Entry, report: Report = silent) -> bool:
        """Whether the file is there and has the right sum, which is computed again only if the file changed."""
        path = self.path(entry)
        if not self.is_present(entry):
            return False
        if stamp.holds(path, entry.sha256):
            return True
        if checksum(path, report, entry.name) != entry.sha256:
            return False
        stamp.put(path, entry.sha256)
        return True

    @contextmanager
    def lock(self, folder: str, report: Report = silent) -> Iterator[None]:
        """Hold the right to write in one model's directory; waits while another process has it."""
        with holding(self.root / folder / ".lock", lambda words: report(words, 0, 0)):
            yield

    def manifest(self, folder: str) -> Manifest | None:
        """What is kept of the model in `folder`, whether or not its files are still there."""
        return manifests.read(self.root / folder)

    def manifests(self) -> Iterator[Manifest]:
        """Of all models that are here in full, by name."""
        for path in sorted(self.root.glob(f"*/{manifests.NAME}")):
            found = manifests.read(path.parent)
            if found is not None and found.is_present:
                yield found

    def owned(self, folder: str) -> set[str]:
        """Sums of the files in `folder` that edgellm has fetched or has begun to fetch."""
        known = (manifests.read(self.root / folder, name) for name in (manifests.NAME, COMING))
        return {held.sum for found in known if found is not None for held in found.files if held.owned}

    def plan(self, manifest: Manifest) -> None:
        """Keep what is about to come, until it has. Call with the lock held."""
        manifests.write(self.root / manifest.folder, manifest, COMING)

    def keep(self, manifest: Manifest) -> Manifest:
        """Keep what has come. Call with the lock held."""
        manifests.write(self.root / manifest.folder, manifest)
        (self.root / manifest.folder / COMING).unlink(missing_ok=True)
        return manifest

    def clean(self, entry: Entry, *, parts: bool) -> None:
        """Remove what a transfer left behind, its finished `parts` too if asked. Call with the lock held."""
        self._partial(entry).unlink(missing_ok=True)
        staging = self.staging(entry)
        if parts:
            shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):
            staging.rmdir()

    def install(self, entry: Entry, write: Callable[[Incoming], None]) -> Path:
        """Give `write` a file to fill; put it in place if size and sum are right. Call with the lock held.

        Raises ChecksumMismatch, or DownloadError when the disk refuses. Nothing is left behind then.
        """
        partial, target = self._partial(entry), self.path(entry)
        try:
            with space.writing(target.parent, entry.bytes), partial.open("wb") as file:
                incoming = Incoming(file.write, entry.bytes)
                write(incoming)
                file.flush()
                os.fsync(file.fileno())
            incoming.check(entry)
            with space.writing(target.parent, entry.bytes):
                partial.replace(target)
                stamp.put(target, entry.sha256)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target

    def _partial(self, entry: Entry) -> Path:
        path = self.path(entry)
        return path.with_name(path.name + ".partial")


class Incoming:
    """A model file on its way to the disk: counts and hashes what is written, and stops what grows too long."""

    def __init__(self, write: Callable[[bytes], int], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise ChecksumMismatch(f"more data came than the {size(self._limit)} promised. Nothing was installed.")
        self._hash.update(data)
        self._write(data)

    def check(self, entry: Entry) -> None:
        """Raises ChecksumMismatch when this is not the file that `entry` promises."""
        if self.size != entry.bytes:
            raise ChecksumMismatch(
                f"{entry.name} came with {self.size:,} bytes instead of {entry.bytes:,}. "
                "Nothing was installed; try again."
            )
        if self._hash.hexdigest() != entry.sha256:
            raise ChecksumMismatch(
                f"{entry.name} came with sha256 {self._hash.hexdigest()} instead of {entry.sha256}. "
                "Nothing was installed. Try again; if it happens twice, the source was changed and must not be trusted."
            )
