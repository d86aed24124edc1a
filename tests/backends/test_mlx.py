"""What only MLX's folders can be: with code of their own, of an unknown kind, and slots that are copies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgellm.backends.batch import Chunk
from edgellm.config import ModelSettings
from edgellm.errors import NotAModel, UnsupportedModel
from tests import tiny_folder

pytest.importorskip("mlx_lm", reason="needs the extra `mlx`")

from edgellm.backends.mlx import MlxBackend

SETTINGS = ModelSettings(context=64, slots=4, parallel=4, batch=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder.build(tmp_path)


def change(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_folder_runs_no_code_of_its_own(folder: Path) -> None:
    change(folder, model_file="evil.py")
    (folder / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    with pytest.raises(UnsupportedModel, match="not allowed"):
        MlxBackend.load(folder, SETTINGS)
    assert not (folder / "ran").exists()


def test_an_unknown_kind_is_told_of(folder: Path) -> None:
    change(folder, model_type="nosuch")
    with pytest.raises(UnsupportedModel, match="nosuch"):
        MlxBackend.load(folder, SETTINGS)


@pytest.mark.parametrize("text", ["", "[]", '{"model_type": "llama"}'])
def test_settings_that_are_none_are_told_of(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(NotAModel):
        MlxBackend.load(folder, SETTINGS)


def test_copies_count_once_for_whoever_counts_cells(folder: Path) -> None:
    """Each has memory of its own, but who shares a beginning must be able to go on."""
    backend = MlxBackend.load(folder, SETTINGS)
    backend.decode([Chunk(0, 0, [5] * 50, 0)])
    for slot in (1, 2, 3):
        backend.copy(0, slot, 50)
    found = backend.decode([Chunk(slot, 50, [7]) for slot in range(4)])
    assert len({found.argmax(row) for row in range(4)}) == 1
    backend.close()
