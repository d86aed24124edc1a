"""Tests of `tui.files` and `tui.fuzzy`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgellm.errors import RequestError
from tests.doubles.scripted_model import ScriptedModel
from tui import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("src/search.py", "src/deep/research.md", "README.md", "build/out.txt", ".env", "secret.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_without_git_hidden_and_built_files_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_of_git", lambda _: None)
    assert files.listing(folder) == ("README.md", "secret.log", "src/search.py", "src/deep/research.md")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_says_what_is_ignored(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("*.log\nbuild/\n.env\n")
    assert files.listing(folder) == (".gitignore", "README.md", "src/search.py", "src/deep/research.md")
    assert files.listing(folder / "src") == ("search.py", "deep/research.md")


def test_a_very_large_folder_is_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    assert len(files.listing(folder)) == 2


NAMES = ("docs/index.md", "src/research.py", "src/search.py", "src/se/arch.py", "tests/test_search.py", "zebra")


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("search", "src/search.py"),
        ("SEARCH", "src/search.py"),
        ("tsearch", "tests/test_search.py"),
        ("ze", "zebra"),
        ("di", "docs/index.md"),
        ("", "docs/index.md"),
    ],
)
def test_the_best_fit_comes_first(query: str, first: str) -> None:
    assert files.find(query, NAMES)[0] == first


def test_what_does_not_occur_is_not_found() -> None:
    assert files.find("xyz", NAMES) == ()
    assert len(files.find("e", NAMES, limit=3)) == 3


def test_text_is_read_as_it_is(folder: Path) -> None:
    (folder / "w.txt").write_bytes("\ufeffa\r\nß".encode())
    attachment = files.read(folder, "w.txt")
    assert (attachment.name, attachment.text, attachment.tokens) == ("w.txt", "a\nß", None)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"a\0b", "not a text"), (b"\xff\xfe\x41", "UTF-8"), (b"x" * (files.MAX_BYTES + 1), "larger than 512 KiB")],
)
def test_other_files_are_refused(folder: Path, data: bytes, said: str) -> None:
    (folder / "f").write_bytes(data)
    with pytest.raises(RequestError, match=said):
        files.read(folder, "f")


def test_missing_files_are_refused(folder: Path) -> None:
    for name in ("nothing", "src"):
        with pytest.raises(RequestError, match="no file"):
            files.read(folder, name)


async def test_tokens_are_those_of_the_model(folder: Path) -> None:
    counted = await files.counted(ScriptedModel([[]]), files.read(folder, "README.md"))
    assert counted.tokens == 7
