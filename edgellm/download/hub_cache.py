"""The cache that every tool of the model hub shares, read and written in the layout that huggingface-hub documents.

A file's content is `blobs/<its etag>`, once; `snapshots/<commit>/<path>` point at it; `refs/<branch>` hold a commit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from edgellm.download.arrival import Place

COMMIT = re.compile(r"[0-9a-f]{40}\Z")


class Snapshot(msgspec.Struct, frozen=True):
    """What is here of one commit: paths in the repository, with where they lie."""

    commit: str
    files: dict[str, Path]


class HubCache:
    """The cache at `root`, by default where the environment tells huggingface-hub to have it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def snapshots(self, repository: str, revision: str = "main") -> Iterator[Snapshot]:
        """What is here of `repository`, that which `revision` meant last first, then newest first."""
        home = self._home(repository)
        wanted = self._commit(home, revision)
        if COMMIT.match(revision):
            folders = [home / "snapshots" / revision]
        else:
            folders = sorted(_folders(home / "snapshots"), key=lambda folder: (folder.name != wanted, -_age(folder)))
        for folder in folders:
            if files := _files(folder):
                yield Snapshot(folder.name, files)

    def path(self, repository: str, commit: str, file: str) -> Path:
        """Where `file` of `commit` is found, or will be."""
        return self._home(repository) / "snapshots" / commit / Path(*file.split("/"))

    def place(self, repository: str, etag: str) -> Place:
        """Of a blob. Its lock is the one that other tools ask for, and earlier ones name and continue parts alike."""
        home = self._home(repository)
        blob = home / "blobs" / etag
        lock = self.root / ".locks" / home.name / f"{etag}.lock"
        return Place(blob, blob.with_name(f"{etag}.incomplete"), lock)

    def holds(self, repository: str, commit: str, file: str, etag: str, size: int) -> bool:
        """Whether the whole file is here, under its name or only as a blob."""
        places = (self.path(repository, commit, file), self.place(repository, etag).target)
        return any(place.is_file() and place.stat().st_size == size for place in places)

    def etag(self, pointer: Path) -> str:
        """The name of the blob that `pointer` leads to; empty where it is a file itself."""
        try:
            return pointer.readlink().name
        except OSError:
            return ""

    def point(self, repository: str, commit: str, file: str, etag: str) -> Path:
        """Let `file` of `commit` be the blob `etag`: by a link, or where there are none by giving it its place."""
        pointer, blob = self.path(repository, commit, file), self.place(repository, etag).target
        if pointer.is_file():
            return pointer
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.unlink(missing_ok=True)  # a link to a blob that is gone
        try:
            pointer.symlink_to(os.path.relpath(blob, pointer.parent))
        except OSError:  # Windows, without developer mode
            blob.replace(pointer)
        return pointer

    def name(self, repository: str, revision: str, commit: str) -> None:
        """Remember that `revision`, if it is a branch or a tag, means `commit` now."""
        place = self._home(repository) / "refs" / Path(*revision.split("/"))
        if revision == commit or self._commit(self._home(repository), revision) == commit:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.{os.getpid()}.tmp")
        new.write_text(commit, encoding="ascii")
        new.replace(place)

    def forget(self, repository: str, files: Iterable[Path]) -> int:
        """Remove pointers and the blobs that nothing points at any more; returns the bytes freed."""
        home = self._home(repository)
        targets = {path.resolve() for path in files}
        for path in files:
            with suppress(OSError):
                path.unlink()
        needed = {path.resolve() for path in (home / "snapshots").rglob("*") if path.is_symlink()}
        freed = 0
        for blob in (home / "blobs").glob("*"):
            if blob.resolve() in targets and blob.resolve() not in needed and not blob.is_symlink():
                freed += blob.stat().st_size
                blob.unlink()
        return freed

    def partials(self) -> Iterator[Path]:
        """Parts of blobs, of every tool, that no transfer is known to write."""
        yield from self.root.glob("models--*/blobs/*.incomplete")

    def _home(self, repository: str) -> Path:
        return self.root / _folder_name(repository)

    def _commit(self, home: Path, revision: str) -> str:
        try:
            return (home / "refs" / Path(*revision.split("/"))).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""


def _folder_name(repository: str) -> str:
    return "--".join(["models", *repository.split("/")])


def _folders(place: Path) -> list[Path]:
    try:
        return [folder for folder in place.iterdir() if folder.is_dir()]
    except OSError:
        return []


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
