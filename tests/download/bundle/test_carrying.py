"""A bundle is written, read and checked; whatever is done to it on the way is noticed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.download.bundle import installer, manifest as manifests, reader, writer
from edgellm.download.bundle.installer import MANIFEST, MANIFEST_SUM, Refused
from edgellm.download.bundle.manifest import Manifest
from edgellm.errors import ChecksumMismatch, DownloadError

KINDS = ("bundle", "bundle.tar", "bundle.zip")


def _zip() -> bytes:
    """As wheels are; a tar that ends in one must still be seen to be a tar."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("first/a", b"a")
        archive.writestr("second/b", b"b")
    return data.getvalue()


CONTENT = {"models/m/m.gguf": bytes(range(256)) * 5000, "empty": b"", "wheels/a-1-py3-none-any.whl": _zip()}


def made(out: Path, content: dict[str, bytes] = CONTENT) -> Path:
    with writer.writing(out) as writing:
        for name, data in content.items():
            writing.add_bytes(name, data)
        manifests.write(writing, Manifest(edgellm="1.0", created="now", files=dict(writing.files)))
    return out


def verify(path: Path) -> dict[str, Any]:
    with reader.opened(path) as contents:
        return installer.check(contents, lambda label, done, total: None)


@pytest.fixture(params=KINDS)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path / request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "bundle")


def test_what_is_written_is_read(bundle: Path) -> None:
    assert set(verify(bundle)["files"]) == set(CONTENT)
    with reader.opened(bundle) as contents:
        for name, data in CONTENT.items():
            with contents.open(name) as stream:
                assert stream.read() == data
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_archives_unpack_with_ordinary_tools_into_one_directory(tmp_path: Path) -> None:
    for kind in ("bundle.tar", "bundle.zip"):
        shutil.unpack_archive(made(tmp_path / kind), tmp_path / "out", filter="data" if kind.endswith("tar") else None)
        assert verify(tmp_path / "out" / "bundle")
        shutil.rmtree(tmp_path / "out")


def test_the_sum_is_one_that_other_tools_can_check(folder: Path) -> None:
    digest, name = (folder / MANIFEST_SUM).read_text().split()
    assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_progress_goes_to_the_end(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    installer.check(installer.Folder(folder), lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2] == sum(map(len, CONTENT.values()))
    assert [step[1] for step in told] == sorted(step[1] for step in told)


def test_nothing_is_left_when_writing_is_interrupted(tmp_path: Path) -> None:
    for kind in KINDS:
        with pytest.raises(KeyboardInterrupt), writer.writing(tmp_path / kind) as writing:
            writing.add_bytes("a", b"a")
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(bundle: Path) -> None:
    before = bundle.stat().st_mtime_ns
    with pytest.raises(DownloadError, match="is there already"), writer.writing(bundle):
        raise AssertionError("not reached")
    assert bundle.stat().st_mtime_ns == before


def _change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: _change(folder / "models/m/m.gguf"), "m.gguf does not have the sum"),
        (lambda folder: _change(folder / MANIFEST), "the sum of manifest.json is not"),
        (lambda folder: (folder / MANIFEST_SUM).write_bytes(b"0" * 64), "the sum of manifest.json is not"),
        (lambda folder: (folder / MANIFEST_SUM).unlink(), "no manifest.json.sha256"),
        (lambda folder: (folder / MANIFEST).unlink(), "no manifest.json"),
        (lambda folder: (folder / "empty").unlink(), "empty is missing"),
        (lambda folder: (folder / "wheels/pip-9-py3-none-any.whl").touch(), "pip-9-py3-none-any.whl is in the bundle"),
        (lambda folder: (folder / "models/m/m.gguf").write_bytes(b"x"), "has 1 bytes instead of 1,280,000"),
        (lambda folder: (folder / "wheels/link.whl").symlink_to("/etc/passwd"), "is a link"),
        (lambda folder: (folder / "more").symlink_to(folder.parent), "is a link"),
    ],
)
def test_whatever_is_changed_is_noticed(folder: Path, harm: Callable[[Path], object], words: str) -> None:
    harm(folder)
    with pytest.raises(DownloadError, match=words):
        verify(folder)


def test_what_systems_leave_in_directories_does_no_harm(folder: Path) -> None:
    (folder / ".DS_Store").touch()
    (folder / "models" / "Thumbs.db").touch()
    assert verify(folder)


@pytest.mark.parametrize("kind", ["bundle.tar", "bundle.zip"])
def test_an_archive_that_is_cut_off_or_changed_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    whole = made(tmp_path / kind, {"a": b"a" * 3000, "b": b"b"}).read_bytes()
    chance = random.Random(5)
    end = len(whole.rstrip(b"\0"))  # what follows in a tar is padding
    for position in [0, 1, 511, 512, end - 1, *(chance.randrange(end) for _ in range(40))]:
        (tmp_path / "cut").write_bytes(whole[:position])
        with pytest.raises(DownloadError):
            verify(tmp_path / "cut")
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        try:  # some bytes, such as times and padding, mean nothing
            files = verify(tmp_path / "damaged")["files"]
        except DownloadError:
            continue
        assert set(files) == {"a", "b"}


HOSTILE = [
    "../evil",
    "a/../../evil",
    "/etc/evil",
    "a//b",
    "C:evil",
    "a\\..\\evil",
    "con",
    "NUL.gguf",
    "a/",
    "",
    "a ",
    "b.",
]


def forged(folder: Path, names: list[str], **changes: Any) -> installer.Contents:
    """A directory whose manifest lists `names`, with a sum that is right."""
    record = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    data = json.dumps({"format": 1, "files": dict.fromkeys(names, record)} | changes).encode()
    (folder / MANIFEST).write_bytes(data)
    (folder / MANIFEST_SUM).write_text(hashlib.sha256(data).hexdigest())
    return installer.Folder(folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_manifest_cannot_name_a_path_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="does not belong in a bundle"):
        installer.read_manifest(forged(tmp_path, [name]))


def test_names_that_are_one_file_on_other_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="one file on some systems"):
        installer.read_manifest(forged(tmp_path, ["a/B", "a/b"]))
    with pytest.raises(Refused, match="below a path that is a file"):
        installer.read_manifest(forged(tmp_path, ["a", "a/b"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "has format 2"),
        ({"format": "1"}, "no manifest of an edgellm bundle"),
        ({"files": []}, "does not list files"),
        ({"files": {"a": {"bytes": -1, "sha256": "0" * 64}}}, "does not list files"),
        ({"files": {"a": {"bytes": 1, "sha256": "short"}}}, "does not list files"),
        ({"files": {"a": 1}}, "does not list files"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        installer.read_manifest(forged(tmp_path, [], **changes))


def test_a_manifest_too_large_or_too_deep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged(tmp_path, [])
    for data in (b"[" * 200_000, b"\xff\xfe", b"7"):
        (tmp_path / MANIFEST).write_bytes(data)
        (tmp_path / MANIFEST_SUM).write_text(hashlib.sha256(data).hexdigest())
        with pytest.raises(Refused):
            installer.read_manifest(installer.Folder(tmp_path))
    monkeypatch.setattr(installer, "LARGEST_MANIFEST", 10)
    with pytest.raises(Refused, match="too large"):
        installer.read_manifest(installer.Folder(tmp_path))


@given(st.text(max_size=60))
def test_an_accepted_name_stays_below_where_it_is_put(name: str) -> None:
    try:
        installer.check_names([name])
    except Refused:
        return
    root = Path("/somewhere/bundle")
    assert Path(os.path.normpath(root / name)).is_relative_to(root)
    assert "\\" not in name and ":" not in name and "\x00" not in name


def _tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """An archive of (name, type, target of the link)."""
    with tarfile.open(path, "w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, 1 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"x") if kind == tarfile.REGTYPE else None)
    return path


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_with_links_or_devices_is_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ChecksumMismatch, match="link or no file"):
        verify(_tar(tmp_path / "b.tar", ("b/a", kind, "/etc/passwd")))


def test_a_zip_with_a_link_or_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    for number, (attributes, flags) in enumerate([(0o120777 << 16, 0), (0o100644 << 16, 1)]):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            member = zipfile.ZipInfo("b/a")
            member.external_attr = attributes
            archive.writestr(member, b"/etc/passwd")
            member.flag_bits |= flags
        with pytest.raises(ChecksumMismatch, match="link or no file"):
            verify(path)


def test_an_archive_with_one_name_twice_or_two_tops_is_refused(tmp_path: Path) -> None:
    plain = tarfile.REGTYPE
    with pytest.raises(DownloadError, match="twice"):
        verify(_tar(tmp_path / "twice.tar", ("b/a", plain, ""), ("b/a", plain, "")))
    with pytest.raises(DownloadError, match="more than one directory"):
        verify(_tar(tmp_path / "tops.tar", ("b/a", plain, ""), ("../c", plain, "")))


def test_a_file_that_claims_to_be_small_is_not_read_on(tmp_path: Path) -> None:
    """A few kilobytes of zip can be gigabytes; no more is read than the manifest promises."""
    path = tmp_path / "bomb.zip"
    data = json.dumps({"format": 1, "files": {"a": {"bytes": 3 << 20, "sha256": "0" * 64}}}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/a", bytes(64 << 20))
        archive.writestr(f"b/{MANIFEST}", data)
        archive.writestr(f"b/{MANIFEST_SUM}", hashlib.sha256(data).hexdigest())
    with pytest.raises(DownloadError, match="67,108,864 bytes instead of 3,145,728"):
        verify(path)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for name, words in (("text", "no bundle"), ("absent", "there is no bundle at"), (".", "no edgellm bundle")):
        with pytest.raises(DownloadError, match=words):
            verify(tmp_path / name)
