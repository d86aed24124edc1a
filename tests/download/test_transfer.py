"""Fetching whole models with the real pip, offline: from wheels, resumed, refused, interrupted, and by two at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgellm import download
from edgellm.catalog.catalog import FileSource
from edgellm.download import pypi, space, store as storage
from edgellm.download.store import Store
from edgellm.errors import ChecksumMismatch, DownloadError
from tests.doubles.wheels import build, entry_of

CONTENT = os.urandom(300_000)
HALF = len(CONTENT) // 2
PARTS = [("tiny-part1", "tiny/data/part01"), ("tiny-part2", "tiny/data/part02")]


def leftovers(root: Path) -> list[str]:
    """Everything below `root` that is not the model, what is kept about it, or its lock."""
    known = {"tiny.gguf", "tiny.gguf.verified", "manifest.json", ".lock", ".tiny.gguf.lock"}
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name not in known)


@pytest.fixture
def split(index: Path) -> Path:
    build(index, "tiny-part1", {"tiny/data/part01": CONTENT[:HALF]})
    build(index, "tiny-part2", {"tiny/data/part02": CONTENT[HALF:]})
    return index


def test_a_model_in_two_wheels_is_put_together(split: Path, root: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = download.fetch(entry_of(CONTENT, PARTS), lambda *report: seen.append(report), root=root)
    assert path == root / "tiny" / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert leftovers(root) == []
    assert ("downloading tiny", 2000, 2000) in seen
    assert seen[-1] == ("unpacking tiny", len(CONTENT), len(CONTENT))
    assert all(0 <= done <= total for _, done, total in seen)


def test_a_present_model_needs_neither_pip_nor_network(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "_run_pip", lambda *arguments: pytest.fail("pip was run"))
    entry = entry_of(CONTENT, PARTS)
    path = Store(root).path(entry)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert download.fetch(entry, root=root, offline=True) == path


def test_offline_says_so_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "_run_pip", lambda *arguments: pytest.fail("pip was run"))
    with pytest.raises(DownloadError, match="offline"):
        download.fetch(entry_of(CONTENT, PARTS), root=root, offline=True)
    assert not root.exists()


def test_an_interrupted_fetch_goes_on_with_the_next_part(
    split: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, fetched = entry_of(CONTENT, PARTS), []
    real = pypi.download_wheel

    def interrupted(part, target, report):  # type: ignore[no-untyped-def]
        fetched.append(part.requirement)
        if fetched == ["tiny-part1==1.0", "tiny-part2==1.0"]:
            raise KeyboardInterrupt
        real(part, target, report)

    monkeypatch.setattr(pypi, "download_wheel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download.fetch(entry, root=root)
    assert leftovers(root) == [str(Path("tiny", ".staging", "tiny-part1==1.0.whl"))]
    assert not Store(root).is_present(entry)
    assert download.fetch(entry, root=root).read_bytes() == CONTENT
    assert fetched == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part2==1.0"]
    assert leftovers(root) == []


def test_a_wrong_sum_installs_nothing_and_keeps_nothing(split: Path, root: Path) -> None:
    entry = entry_of(CONTENT, PARTS, sha256="0" * 64)
    with pytest.raises(ChecksumMismatch, match="must not be trusted"):
        download.fetch(entry, root=root)
    assert leftovers(root) == []
    assert not (root / "tiny" / "tiny.gguf").exists()


@pytest.mark.parametrize(("extra", "problem"), [(b"", "instead of"), (b"x" * 1000, "more data came")])
def test_a_wrong_size_is_refused(index: Path, root: Path, extra: bytes, problem: str) -> None:
    build(index, "tiny-part1", {"tiny/model": CONTENT[:-1] + extra})
    with pytest.raises(ChecksumMismatch, match=problem):
        download.fetch(entry_of(CONTENT, [("tiny-part1", "tiny/model")]), root=root)
    assert leftovers(root) == []


def test_a_missing_member_is_told(split: Path, root: Path) -> None:
    with pytest.raises(DownloadError, match="does not hold tiny/other"):
        download.fetch(entry_of(CONTENT, [("tiny-part1", "tiny/other")]), root=root)
    assert leftovers(root) == []


def test_a_package_that_the_index_lacks_is_told_in_one_sentence(index: Path, root: Path) -> None:
    with pytest.raises(DownloadError, match=r"pip could not fetch tiny-part1==1\.0: No matching distribution"):
        download.fetch(entry_of(CONTENT, PARTS), root=root)


def test_a_truncated_wheel_is_refused(split: Path, root: Path) -> None:
    wheel = split / "tiny_part1-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:1000])
    with pytest.raises(DownloadError, match=r"tiny-part1==1\.0"):
        download.fetch(entry_of(CONTENT, PARTS), root=root)
    assert leftovers(root) == []


def test_a_kept_part_that_rotted_is_fetched_again(split: Path, root: Path) -> None:
    entry = entry_of(CONTENT, PARTS)
    staging = Store(root).staging(entry)
    staging.mkdir(parents=True)
    data = bytearray((split / "tiny_part1-1.0-py3-none-any.whl").read_bytes())
    data[HALF // 2] ^= 0xFF
    (staging / "tiny-part1==1.0.whl").write_bytes(data)
    with pytest.raises(DownloadError, match="damaged"):
        download.fetch(entry, root=root)
    assert download.fetch(entry, root=root).read_bytes() == CONTENT


def test_leftovers_of_a_killed_transfer_are_removed(split: Path, root: Path) -> None:
    staging = Store(root).staging(entry_of(CONTENT, PARTS))
    (staging / "pip-old" / "tmp").mkdir(parents=True)
    (staging / "pip-old" / "tmp" / "half.whl").write_bytes(b"x")
    (root / "tiny" / "tiny.gguf.partial").write_bytes(b"x")
    download.fetch(entry_of(CONTENT, PARTS), root=root)
    assert leftovers(root) == []


def test_too_small_a_disk_is_told_before_anything_is_fetched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "_run_pip", lambda *arguments: pytest.fail("pip was run"))
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DownloadError, match=r"303\.0 kB are needed in .* and 1\.0 kB are free"):
        download.fetch(entry_of(CONTENT, PARTS), root=root)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_while_unpacking_is_told(
    split: Path, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(self: storage.Incoming, data: bytes) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(storage.Incoming, "write", refuse)
    with pytest.raises(DownloadError, match="the disk is full: " if code == errno.ENOSPC else "cannot write in"):
        download.fetch(entry_of(CONTENT, PARTS), root=root)
    assert not (root / "tiny" / "tiny.gguf.partial").exists()
    assert not (root / "tiny" / "tiny.gguf").exists()


def test_two_writers_at_once_fetch_once(split: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched, paths, waited = [], [], threading.Event()
    real = pypi.download_wheel

    def slow(part, target, report):  # type: ignore[no-untyped-def]
        fetched.append(part.requirement)
        waited.wait(20)  # until the other one stands before the lock
        real(part, target, report)

    def report(label: str, done: int, total: int) -> None:
        if label.startswith("waiting"):
            waited.set()

    monkeypatch.setattr(pypi, "download_wheel", slow)
    entry = entry_of(CONTENT, PARTS)
    writers = [threading.Thread(target=lambda: paths.append(download.fetch(entry, report, root=root))) for _ in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(paths) == 2
    assert paths[0].read_bytes() == CONTENT
    assert sorted(fetched) == ["tiny-part1==1.0", "tiny-part2==1.0"]


def test_a_report_that_raises_stops_pip_and_cleans_up(index: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Slow(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **options: object) -> None:
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **options)
            started.append(self)

    def report(label: str, done: int, total: int) -> None:
        if started:
            raise KeyboardInterrupt

    monkeypatch.setattr(pypi.subprocess, "Popen", Slow)
    with pytest.raises(KeyboardInterrupt):
        download.fetch(entry_of(CONTENT, PARTS), report, root=root)
    assert started[0].returncode is not None, "pip outlived the transfer"
    assert leftovers(root) == []


def test_progress_counts_the_growing_file(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = (
        "import os, sys, time; file = open(os.path.join(os.environ['TMPDIR'], 'part'), 'wb');"
        "[(file.write(b'x' * 300), file.flush(), time.sleep(0.25)) for _ in range(3)]"
    )
    monkeypatch.setattr(pypi, "_command", lambda requirement, work: [sys.executable, "-c", script])
    seen: list[int] = []
    with pytest.raises(DownloadError, match="no wheel"):
        download.fetch(entry_of(CONTENT, PARTS), lambda label, done, total: seen.append(done), root=root)
    assert seen == sorted(seen)
    assert {300, 600, 900} & set(seen)


def test_no_pip_is_told_with_a_remedy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match="-m ensurepip"):
        download.fetch(entry_of(CONTENT, PARTS), root=root)


def test_a_file_source_is_copied_and_the_next_one_tried(root: Path, tmp_path: Path) -> None:
    (tmp_path / "here.gguf").write_bytes(CONTENT)
    sources = (FileSource(path=str(tmp_path / "gone.gguf")), FileSource(path=str(tmp_path / "here.gguf")))
    entry = entry_of(CONTENT, PARTS, sources=sources)
    assert download.fetch(entry, root=root).read_bytes() == CONTENT
    assert (tmp_path / "here.gguf").exists()


def test_all_failures_are_told_when_no_source_works(root: Path, tmp_path: Path) -> None:
    sources = tuple(FileSource(path=str(tmp_path / name)) for name in ("one.gguf", "two.gguf"))
    with pytest.raises(DownloadError, match=r"one\.gguf.*two\.gguf"):
        download.fetch(entry_of(CONTENT, PARTS, sources=sources), root=root)


def test_ensure_replaces_a_damaged_file_of_the_right_size(root: Path, tmp_path: Path) -> None:
    (tmp_path / "here.gguf").write_bytes(CONTENT)
    entry = entry_of(CONTENT, PARTS, sources=(FileSource(path=str(tmp_path / "here.gguf")),))
    path = download.ensure(entry, root=root)
    path.write_bytes(bytes(len(CONTENT)))
    os.utime(path, ns=(time.time_ns() + 10**9, time.time_ns() + 10**9))
    with pytest.raises(ChecksumMismatch, match="is damaged"):
        download.ensure(entry, root=root, offline=True)
    assert download.ensure(entry, root=root).read_bytes() == CONTENT
