"""`edgellm models` and `edgellm pull`: what is here, what is not, and how a model gets here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgellm import paths
from edgellm.catalog import catalog
from edgellm.catalog.catalog import Catalog, FileSource
from tests.doubles.wheels import entry_of

CONTENT = b"weights" * 100


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The catalog holds one model, whose source is this file."""
    source = tmp_path / "source.gguf"
    source.write_bytes(CONTENT)
    entry = entry_of(CONTENT, [("a", "b")], sources=(FileSource(path=str(source)),), aliases=("default",))
    monkeypatch.setattr(catalog, "shipped", lambda: Catalog({"tiny": entry}, {"default": "tiny"}))
    return source


def test_a_model_that_is_not_here_is_listed_with_the_way_to_get_it(command, tiny) -> None:
    outcome = command("models")
    head, row, *_ = outcome.out.splitlines()
    assert head.split() == ["NAME", "PARAMS", "SIZE", "LICENSE", "WHERE"]
    assert row.split("  ")[0] == "tiny (default)"
    assert "700 B" in row
    assert row.endswith("not here yet")
    assert "`edgellm pull NAME` fetches one that is not here yet." in command("models").out


def test_json_changes_when_the_model_is_here(command, tiny, home: Path) -> None:
    (before,) = json.loads(command("models", "--json").out)
    assert (before["name"], before["downloaded"], before["license"], before["bytes"]) == ("tiny", False, "MIT", 700)
    assert command("pull", "tiny").code == 0
    (after,) = json.loads(command("models", "--json").out)
    assert after["downloaded"]
    assert Path(after["path"]).read_bytes() == CONTENT
    _, row, _, where = command("models").out.splitlines()
    root = Path(where.removeprefix("Files are kept in "))
    assert root / row.split("  ")[-1] == Path(after["path"])
    assert Path(after["path"]).is_relative_to(home)


def test_the_home_directory_is_a_tilde_in_the_table_only(command, tiny, home: Path, monkeypatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: home)
    shown = str(Path("~") / paths.models_dir().relative_to(home))
    assert command("models").out.splitlines()[-1] == f"Files are kept in {shown}"
    (row,) = json.loads(command("models", "--json").out)
    assert Path(row["path"]).is_relative_to(home)


def test_pull_tells_that_it_is_ready_and_then_that_it_was_here(command, tiny) -> None:
    first, second = command("pull", "tiny"), command("pull", "default")
    assert first.out.startswith("tiny is ready: ")
    assert "copying tiny: 100%" in first.err
    assert second.out.startswith("tiny is already here: ")
    assert second.err == ""


def test_pull_of_a_file_is_nothing_to_do(command, tiny) -> None:
    outcome = command("pull", str(tiny))
    assert outcome.code == 0
    assert "already" in outcome.out


def test_pull_of_an_unknown_name_is_told_what_was_meant(command, tiny) -> None:
    outcome = command("pull", "tinny")
    assert outcome.code == 1
    assert outcome.err.startswith("error: no model is called 'tinny'. Did you mean tiny?")


def test_pull_offline_is_refused(command, tiny) -> None:
    outcome = command("pull", "tiny", "--offline")
    assert outcome.code == 1
    assert "offline" in outcome.err
