"""The fork's libraries: known by their sums, and another stamp where they are others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.backends import ik, ik_wheel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "libggml.so").write_bytes(b"kernels")
    (tmp_path / "libllama.so").write_bytes(b"the rest")
    monkeypatch.setattr(ik_wheel, "_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.skipif(ik.installed() != ik.VERSION, reason="needs the extra `ik`")
def test_the_one_that_is_installed_is_one_of_the_wheels() -> None:
    assert ik_wheel.is_known() and ik_wheel.stamp()


def test_a_library_that_was_built_in_another_way_is_not_known(folder: Path) -> None:
    assert not ik_wheel.is_known()


def test_both_libraries_must_be(folder: Path) -> None:
    one = ik_wheel._sums(folder)[0]
    assert not ik_wheel.is_known(frozenset({one}))
    assert ik_wheel.is_known(frozenset(ik_wheel._sums(folder)))


def test_another_build_has_another_stamp(folder: Path) -> None:
    before = ik_wheel.stamp()
    (folder / "libggml.so").write_bytes(b"other kernels")
    assert ik_wheel.stamp() != before


def test_nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ik_wheel, "_folder", lambda: None)
    assert (ik_wheel.is_known(), ik_wheel.stamp()) == (False, "")
