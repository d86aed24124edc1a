"""Models of a bundle arrive in the store whole, under names that work there, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import aliases, catalog
from edgellm.catalog.catalog import Catalog, FileSource
from edgellm.catalog.entry import Entry
from edgellm.download.bundle import create as creation, manifest as manifests, models, receive
from edgellm.download.bundle.create import Order
from edgellm.download.store import Store
from edgellm.errors import ChecksumMismatch, ConfigError, DownloadError, Offline
from tests.doubles.wheels import entry_of

CONTENT = b"weights" * 300_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The catalog holds `tiny`, which lies on this machine, and `big`, which nobody has; `some` may mean either."""
    original = tmp_path / "source.gguf"
    original.write_bytes(CONTENT)
    tiny = entry_of(CONTENT, [("a", "b")], sources=(FileSource(path=str(original)),), aliases=("default",))
    big = entry_of(CONTENT, [("absent", "b")], name="big")
    here = Catalog({"tiny": tiny, "big": big}, {"default": "tiny"}, {"some": ("big", "tiny")})
    monkeypatch.setattr(catalog, "shipped", lambda: here)
    return tiny


def make(out: Path, *names: str) -> Path:
    return creation.create(Order(out=out, models=names, wheels=False)).path


def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """From here on this is another machine."""
    monkeypatch.setenv("EDGELLM_HOME", str(home / "other"))
    return Store()


@pytest.mark.parametrize("kind", ["b", "b.tar", "b.zip"])
def test_a_model_goes_from_store_to_store(tmp_path: Path, home: Path, known: Entry, monkeypatch, kind: str) -> None:
    bundle = make(tmp_path / kind, "default")
    store = elsewhere(home, monkeypatch)
    (taken,) = receive.take_models(bundle)
    assert (taken.use, taken.was_here) == ("default", False)
    assert taken.path.read_bytes() == CONTENT
    kept = store.manifest("tiny")
    assert kept is not None
    assert (kept.path, kept.reference, kept.files[0].sum) == (taken.path, "tiny", known.sha256)
    assert receive.take_models(bundle)[0].was_here
    assert not list(store.root.rglob(receive.STAGING))


def test_a_model_that_is_damaged_here_is_replaced(tmp_path: Path, home: Path, known: Entry, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "tiny")
    elsewhere(home, monkeypatch)
    (taken,) = receive.take_models(bundle)
    taken.path.write_bytes(b"damaged")
    (again,) = receive.take_models(bundle)
    assert not again.was_here
    assert again.path.read_bytes() == CONTENT


def test_an_alias_means_there_what_was_carried_for_it(tmp_path: Path, home: Path, known: Entry, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "some")
    elsewhere(home, monkeypatch)
    assert receive.take_models(bundle)[0].use == "some"
    assert [str(reference) for reference in catalog.alias_candidates("some")] == ["tiny"]


def test_an_alias_that_the_user_moved_stays_moved(tmp_path: Path, home: Path, known: Entry, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "some")
    elsewhere(home, monkeypatch)
    aliases.move("some", "big", catalog.current())
    assert receive.take_models(bundle)[0].use == "tiny"
    assert [str(reference) for reference in catalog.alias_candidates("some")] == ["big"]


def test_a_model_that_no_catalog_knows_is_used_by_its_path(
    tmp_path: Path, home: Path, known: Entry, monkeypatch
) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"m-0000{number}-of-00002.gguf").write_bytes(b"GGUF" + bytes([number]))
    bundle = make(tmp_path / "b.tar", str(folder / "m-00001-of-00002.gguf"))
    store = elsewhere(home, monkeypatch)
    (taken,) = receive.take_models(bundle)
    assert taken.use == str(taken.path)
    assert taken.path.is_relative_to(store.root)
    assert sorted(path.read_bytes()[-1] for path in taken.path.parent.glob("*.gguf")) == [1, 2]


def test_two_models_that_would_be_one_are_refused(tmp_path: Path, known: Entry) -> None:
    local = tmp_path / "tiny.gguf"
    local.write_bytes(b"GGUF")
    packed = models.packed(("tiny", "default"))
    assert [each.model.use for each in packed] == ["tiny"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.gguf").write_bytes(b"GGUF")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match="would be one"):
        models.packed((str(tmp_path / "x.gguf"), str(other / "x.gguf")))


def test_nothing_is_written_when_anything_in_the_bundle_is_wrong(tmp_path: Path, home, known, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "tiny")
    (bundle / "README.txt").write_text("changed")
    store = elsewhere(home, monkeypatch)
    with pytest.raises(DownloadError, match=r"README\.txt has 7 bytes"):
        receive.take_models(bundle)
    assert not list(store.root.rglob("*"))


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path, home: Path, known: Entry, monkeypatch) -> None:
    bundle = make(tmp_path / "b.zip", "tiny")
    store = elsewhere(home, monkeypatch)

    def interrupt(label: str, done: int, total: int) -> None:
        if label.startswith("copying") and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        receive.take_models(bundle, interrupt)
    assert [path.name for path in store.root.rglob("*") if path.is_file()] in ([], [".lock"])
    assert store.manifest("tiny") is None


def test_a_file_that_changes_after_the_check_is_not_kept(tmp_path: Path, home, known, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "tiny")
    store = elsewhere(home, monkeypatch)
    (weights,) = bundle.rglob("*.gguf")

    def swap(label: str, done: int, total: int) -> None:
        if (label, done) == ("checking", total):
            weights.write_bytes(CONTENT[:-1] + b"!")

    with pytest.raises(ChecksumMismatch, match="changed while it was read"):
        receive.take_models(bundle, swap)
    assert not list(store.root.rglob("*.gguf"))


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, home, known, monkeypatch) -> None:
    bundle = make(tmp_path / "b", "tiny")
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage())
    with pytest.raises(DownloadError, match=r"takes 2\.1 MB"):
        make(tmp_path / "another", "tiny")
    assert not (tmp_path / "another").exists()
    store = elsewhere(home, monkeypatch)
    with pytest.raises(DownloadError, match=r"2\.1 MB are needed"):
        receive.take_models(bundle)
    assert not list(store.root.rglob("*.gguf"))


class _Usage:
    free = 1000


def test_a_manifest_cannot_put_a_model_elsewhere(tmp_path: Path) -> None:
    files = {"models/x": {"bytes": 1, "sha256": "0" * 64}}
    for folder, file, use in (
        ("../up", "x", "a"),
        ("..", "x", "a"),
        ("ok", "../x", "a"),
        ("ok", "/x", "a"),
        ("a/b", "x", "a"),
        ("ok", "x", "\x1b[2J"),
    ):
        model = {"use": use, "reference": "a", "title": "a", "license": "", "folder": folder}
        model |= {"files": [{"path": "models/x", "file": file}]}  # type: ignore[dict-item]
        with pytest.raises(DownloadError):
            manifests.checked({"edgellm": "1", "created": "", "files": files, "models": [model]})


def test_offline_carries_what_is_here_and_asks_for_no_packages(tmp_path: Path, known: Entry) -> None:
    with pytest.raises(Offline, match="--no-wheels"):
        creation.create(Order(out=tmp_path / "b", models=("tiny",), offline=True))
    with pytest.raises(Offline, match="tiny"):
        creation.create(Order(out=tmp_path / "b", models=("tiny",), wheels=False, offline=True))
    make(tmp_path / "first", "tiny")
    assert creation.create(Order(out=tmp_path / "b", models=("tiny",), wheels=False, offline=True)).path.is_dir()


def test_packages_are_not_put_over_a_source_tree(tmp_path: Path, known: Entry) -> None:
    with pytest.raises(DownloadError, match="runs from its source tree"):
        receive.take_packages(make(tmp_path / "b", "tiny"))


@pytest.mark.parametrize("python", ["2.7", "3.9", "three", "3.11.4"])
def test_a_python_that_edgellm_does_not_run_on_is_refused(tmp_path: Path, python: str) -> None:
    with pytest.raises(ConfigError, match="not a version of Python"):
        creation.create(Order(out=tmp_path / "b", models=("tiny",), pythons=(python,)))
