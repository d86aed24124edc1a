"""Models of the hub, fetched from a stand-in: whole, continued, shared with other tools, updated, and refused."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from edgellm import download
from edgellm.catalog.reference import HubReference
from edgellm.download.store import Store
from edgellm.errors import ChecksumMismatch, NotAtSource, Offline, Unreachable
from tests.doubles.hub import CHUNK, Fault, HubDouble, Repository, git_sha1

Q4, Q8 = os.urandom(300_000), os.urandom(500_000)
SPLITS = [os.urandom(200_000), os.urandom(150_000), os.urandom(100_000)]
NAME = "maker/Tiny-GGUF"
Q4_FILE, Q8_FILE = "Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf"
Report = tuple[str, int, int]


@pytest.fixture
def tiny(hub: HubDouble) -> Repository:
    files = {Q4_FILE: Q4, Q8_FILE: Q8, "README.md": b"hello", "mmproj-F16.gguf": os.urandom(5000)}
    files |= {f"BF16/Tiny-BF16-0000{i + 1}-of-00003.gguf": data for i, data in enumerate(SPLITS)}
    hub.repositories[NAME] = Repository(files)
    return hub.repositories[NAME]


def reference(quantization: str = "Q4_K_M") -> HubReference:
    return HubReference(NAME, quantization)


def cache(tmp_path: Path) -> Path:
    return tmp_path / "huggingface" / "hub" / "models--maker--Tiny-GGUF"


def blob(tmp_path: Path, data: bytes) -> Path:
    return cache(tmp_path) / "blobs" / hashlib.sha256(data).hexdigest()


def test_the_usual_quantization_is_fetched_where_none_is_named(hub: HubDouble, tiny, root: Path) -> None:
    path = download.fetch(HubReference(NAME), root=root)
    assert path.name == Q4_FILE
    assert path.read_bytes() == Q4
    assert hub.served == len(Q4)


def test_huggingface_hub_finds_what_edgellm_fetched(hub: HubDouble, tiny, root: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    path = download.fetch(reference(), root=root)
    found = hf_hub_download(NAME, Q4_FILE)
    assert Path(found) == path
    assert Path(hf_hub_download(NAME, Q4_FILE, local_files_only=True)) == path
    assert hub.served == len(Q4), "fetched twice"
    (repository,) = scan_cache_dir().repos
    assert (repository.repo_id, repository.size_on_disk) == (NAME, len(Q4))
    assert not scan_cache_dir().warnings


def test_edgellm_finds_what_huggingface_hub_fetched(hub: HubDouble, tiny, root: Path) -> None:
    from huggingface_hub import hf_hub_download

    there = hf_hub_download(NAME, Q8_FILE)
    hub.requests.clear()
    assert str(download.fetch(reference("Q8_0"), root=root, offline=True)) == there
    assert hub.requests == []
    with pytest.raises(Offline, match="Q4_K_M is not on this machine"):
        download.fetch(reference(), root=root, offline=True)


def test_all_splits_come_and_the_first_is_what_is_loaded(hub: HubDouble, tiny, root: Path) -> None:
    seen: list[Report] = []
    path = download.fetch(reference("BF16"), lambda *report: seen.append(report), root=root)
    parts = [path.with_name(f"Tiny-BF16-0000{i}-of-00003.gguf").read_bytes() for i in (1, 2, 3)]
    assert parts == SPLITS
    assert path.name.endswith("00001-of-00003.gguf")
    total = sum(map(len, SPLITS))
    assert seen[-1] == (f"downloading {NAME}:BF16", total, total)


def test_one_split_named_means_all(hub: HubDouble, tiny, root: Path) -> None:
    file = "BF16/Tiny-BF16-00002-of-00003.gguf"
    path = download.fetch(HubReference(NAME, file=file), root=root)
    assert path.name.endswith("00001-of-00003.gguf")
    assert hub.served == sum(map(len, SPLITS))


def test_a_named_file_is_fetched(hub: HubDouble, tiny, root: Path) -> None:
    assert download.fetch(HubReference(NAME, file=Q8_FILE), root=root).read_bytes() == Q8


def test_a_quantization_that_is_not_there_is_told_with_those_that_are(hub: HubDouble, tiny, root: Path) -> None:
    with pytest.raises(NotAtSource, match=r"has no Q2_K\. It has: BF16, Q4_K_M, Q8_0\."):
        download.fetch(reference("Q2_K"), root=root)


def test_what_is_here_needs_no_request(hub: HubDouble, tiny, root: Path) -> None:
    path = download.fetch(reference(), root=root)
    hub.requests.clear()
    assert download.fetch(reference(), root=root) == path
    assert hub.requests == []


def test_offline_touches_no_socket(hub: HubDouble, tiny, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    download.fetch(reference(), root=root)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a socket was used offline")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert download.fetch(reference(), root=root, offline=True).read_bytes() == Q4
    assert download.pull(reference(), root=root, offline=True)[1]
    for wanted in (reference("Q8_0"), HubReference("nobody/nothing")):
        with pytest.raises(Offline):
            download.fetch(wanted, root=root, offline=True)
        with pytest.raises(Offline):
            download.pull(wanted, root=root, offline=True)


def test_the_offline_mode_of_the_hub_is_honoured(hub: HubDouble, tiny, root: Path, monkeypatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Offline, match="HF_HUB_OFFLINE"):
        download.fetch(reference(), root=root)
    assert hub.requests == []


def test_the_token_goes_to_the_hub_alone(hub: HubDouble, tiny, root: Path, monkeypatch) -> None:
    tiny.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert all(request.headers["authorization"] == "Bearer hf_secret" for request in hub.asked("/api/"))
    assert hub.asked("/lfs/")
    assert not any("authorization" in request.headers for request in hub.asked("/lfs/"))


def test_nothing_is_told_to_the_hub_but_what_it_is_asked_for(hub: HubDouble, tiny, root: Path) -> None:
    download.fetch(reference(), root=root)
    paths = {request.path for request in hub.requests}
    assert paths == {
        f"/api/models/{NAME}/revision/main",
        f"/{NAME}/resolve/{tiny.commit}/{Q4_FILE}",
        f"/lfs/{NAME}/{Q4_FILE}",
    }


def test_a_cut_connection_is_continued(hub: HubDouble, tiny, root: Path, impatient) -> None:
    hub.file_faults.extend([Fault(cut_after=5 * CHUNK), Fault(cut_after=4 * CHUNK), Fault(status=500), Fault()])
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.served == len(Q4)
    assert [request.headers.get("range") for request in hub.asked("/lfs/")] == [
        None,
        f"bytes={5 * CHUNK}-",
        f"bytes={9 * CHUNK}-",
        f"bytes={9 * CHUNK}-",
    ]


def test_a_silent_connection_is_given_up_and_continued(hub: HubDouble, tiny, root: Path, impatient) -> None:
    hub.file_faults.append(Fault(stall_after=3 * CHUNK))
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.served == len(Q4)


def test_a_server_without_ranges_begins_anew(hub: HubDouble, tiny, root: Path, impatient) -> None:
    hub.file_faults.extend([Fault(cut_after=5 * CHUNK), Fault(ignore_range=True)])
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.served == len(Q4) + 5 * CHUNK


def test_a_server_that_never_delivers_is_reported_and_what_came_is_kept(
    hub: HubDouble, tiny, root: Path, tmp_path: Path, impatient
) -> None:
    hub.file_faults.append(Fault(cut_after=5 * CHUNK))
    hub.file_faults.extend([Fault(status=503)] * 20)
    with pytest.raises(Unreachable, match="localhost failed with HTTP 503"):
        download.fetch(reference(), root=root)
    hub.file_faults.clear()
    part = blob(tmp_path, Q4).with_suffix(".incomplete")
    assert part.read_bytes() == Q4[: 5 * CHUNK]
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.served == len(Q4)
    assert not part.exists()


def test_what_an_earlier_version_of_the_hubs_library_left_is_continued(
    hub: HubDouble, tiny, root: Path, tmp_path: Path
) -> None:
    part = blob(tmp_path, Q4).with_suffix(".incomplete")
    part.parent.mkdir(parents=True)
    part.write_bytes(Q4[:200_000])
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.served == len(Q4) - 200_000


@pytest.mark.parametrize("left", [b"\0" * 200_000, b"\0" * 400_000, Q4[:-1] + bytes([Q4[-1] ^ 1])])
def test_a_part_that_rotted_is_fetched_afresh(hub: HubDouble, tiny, root: Path, tmp_path: Path, left: bytes) -> None:
    part = blob(tmp_path, Q4).with_suffix(".incomplete")
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert download.fetch(reference(), root=root).read_bytes() == Q4


def test_a_file_that_is_not_what_the_hub_promised_is_refused(
    hub: HubDouble, tiny, root: Path, tmp_path: Path, monkeypatch
) -> None:
    def lie(self: object, place: str) -> None:
        self._file(bytes(len(Q4)), '"x"', "", True)  # type: ignore[attr-defined]

    monkeypatch.setattr("tests.doubles.hub._Conversation._large", lie)
    with pytest.raises(ChecksumMismatch, match="must not be trusted"):
        download.fetch(reference(), root=root)
    assert list((cache(tmp_path) / "blobs").iterdir()) == []
    assert download.held(reference(), root=root) is None


def test_a_file_that_changes_between_attempts_is_the_new_one(hub: HubDouble, tiny, root: Path, impatient) -> None:
    hub.file_faults.append(Fault(cut_after=5 * CHUNK))
    hub.file_faults.extend([Fault(status=503)] * 20)
    with pytest.raises(Unreachable):
        download.fetch(reference(), root=root)
    hub.file_faults.clear()
    newer = os.urandom(300_000)
    tiny.change({**tiny.files, Q4_FILE: newer})
    assert download.fetch(reference(), root=root).read_bytes() == newer


def test_pull_brings_what_is_newer_and_removes_what_it_replaces(
    hub: HubDouble, tiny, root: Path, tmp_path: Path
) -> None:
    old, was_here = download.pull(reference(), root=root)
    assert not was_here
    assert download.pull(reference(), root=root)[1]
    newer = os.urandom(310_000)
    tiny.change({**tiny.files, Q4_FILE: newer})
    new, was_here = download.pull(reference(), root=root)
    assert not was_here
    assert new.path.read_bytes() == newer
    assert not blob(tmp_path, Q4).exists()
    assert not old.path.exists()
    assert download.fetch(reference(), root=root, offline=True) == new.path


def test_a_new_commit_with_the_same_file_transfers_nothing(hub: HubDouble, tiny, root: Path) -> None:
    download.pull(reference(), root=root)
    tiny.change({**tiny.files, "README.md": b"better words"})
    _, was_here = download.pull(reference(), root=root)
    assert was_here
    assert hub.served == len(Q4)


def test_pull_is_content_with_what_is_here_when_nobody_answers(hub: HubDouble, tiny, root: Path, impatient) -> None:
    download.pull(reference(), root=root)
    hub.api_faults.extend([Fault(status=503)] * 10)
    seen: list[Report] = []
    manifest, was_here = download.pull(reference(), lambda *report: seen.append(report), root=root)
    assert was_here
    assert manifest.path.read_bytes() == Q4
    assert any("whether it is the newest is not known" in label for label, _, _ in seen)


def test_pull_replaces_a_damaged_file(hub: HubDouble, tiny, root: Path) -> None:
    path = download.fetch(reference(), root=root)
    path.resolve().write_bytes(bytes(len(Q4)))
    manifest, was_here = download.pull(reference(), root=root)
    assert not was_here
    assert manifest.path.read_bytes() == Q4
    path.resolve().write_bytes(bytes(len(Q4)))
    with pytest.raises(ChecksumMismatch, match="is damaged"):
        download.pull(reference(), root=root, offline=True)


def test_too_small_a_disk_is_told_before_anything_is_fetched(hub: HubDouble, tiny, root: Path, monkeypatch) -> None:
    from edgellm.download import space
    from edgellm.errors import DownloadError

    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DownloadError, match=r"450\.0 kB are needed in .* and 1\.0 kB are free"):
        download.fetch(reference("BF16"), root=root)
    assert hub.served == 0


def test_two_at_once_fetch_once(hub: HubDouble, tiny, root: Path) -> None:
    hub.rate = 1e6
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda root=root: paths.append(download.fetch(reference(), root=root)))
        for root in (root, root.with_name("other"))  # two stores, one cache of the hub
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [path.read_bytes() for path in paths] == [Q4, Q4]
    assert hub.served == len(Q4)


def test_a_report_that_raises_stops_the_transfer_and_keeps_what_came(
    hub: HubDouble, tiny, root: Path, tmp_path: Path
) -> None:
    hub.rate = 200_000

    def report(label: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(reference(), report, root=root)
    hub.rate = 0
    left = blob(tmp_path, Q4).with_suffix(".incomplete").stat().st_size
    assert 0 < left < len(Q4)
    assert download.fetch(reference(), root=root).read_bytes() == Q4
    assert hub.asked("/lfs/")[-1].headers["range"] == f"bytes={left}-"


def test_files_that_git_keeps_are_checked_by_its_sum(hub: HubDouble, root: Path, tmp_path: Path) -> None:
    weights = os.urandom(5000)
    files = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "model.safetensors": weights, "README.md": b"x"}
    hub.repositories["maker/mlx"] = Repository(files)
    folder = download.fetch(HubReference("maker/mlx"), root=root)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "config.json").resolve().name == git_sha1(b"{}")
    (manifest,) = Store(root).manifests()
    assert (manifest.format, manifest.path) == ("mlx", folder)


def test_a_repository_without_a_model_is_told(hub: HubDouble, root: Path) -> None:
    hub.repositories["maker/data"] = Repository({"README.md": b"x", "pytorch_model.bin": b"x" * 2000})
    with pytest.raises(NotAtSource, match="holds no model that edgellm can use"):
        download.fetch(HubReference("maker/data"), root=root)


@pytest.mark.parametrize("path", ["../../evil.gguf", "/etc/evil.gguf", "a\\..\\..\\evil.gguf", "C:/evil.gguf"])
def test_a_hub_cannot_lead_out_of_the_cache(hub: HubDouble, root: Path, tmp_path: Path, path: str) -> None:
    from edgellm.errors import DownloadError

    hub.repositories[NAME] = Repository({path: Q4})
    with pytest.raises(DownloadError, match="does not answer as a model hub does"):
        download.fetch(HubReference(NAME), root=root)
    assert not list(tmp_path.rglob("evil.gguf"))


def test_links_are_done_without_where_the_system_has_none(hub: HubDouble, tiny, root: Path, monkeypatch) -> None:
    def refuse(self: Path, target: object) -> None:
        raise OSError("no privilege")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = download.fetch(reference(), root=root)
    assert path.read_bytes() == Q4 and not path.is_symlink()
    assert download.pull(reference(), root=root)[1]
    assert hub.served == len(Q4)
