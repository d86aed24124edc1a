"""What on disk is a model: files, splits, and folders of the three kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import catalog, model_folder
from edgellm.errors import ModelNotFound, NotAModel


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"")
    return path


def test_a_folder_with_one_model_means_it(tmp_path: Path) -> None:
    plain = folder(tmp_path / "a", "x-Q4_0.gguf", "mmproj-x-F16.gguf", "README.md")
    split = folder(tmp_path / "b", "x-00002-of-00002.gguf", "x-00001-of-00002.gguf")
    assert model_folder.model_at(plain) == plain / "x-Q4_0.gguf"
    assert model_folder.model_at(split) == split / "x-00001-of-00002.gguf"
    assert model_folder.model_at(split / "x-00002-of-00002.gguf") == split / "x-00001-of-00002.gguf"


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("config.json", "model.safetensors"), "mlx"), (("genai_config.json", "model.onnx"), "onnx")],
)
def test_mlx_and_onnx_folders_are_models_themselves(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    path = folder(tmp_path / "m", *names)
    assert model_folder.model_at(path) == path
    assert model_folder.kind(path) == kind


@pytest.mark.parametrize(
    ("names", "error", "problem"),
    [
        ((), NotAModel, "holds no model"),
        (("config.json",), NotAModel, "holds no model"),
        (("a-Q4_0.gguf", "a-Q8_0.gguf"), ModelNotFound, "holds 2 models: a-Q4_0.gguf, a-Q8_0.gguf"),
        (("a-00001-of-00003.gguf", "a-00002-of-00003.gguf"), ModelNotFound, "no complete model"),
    ],
)
def test_a_folder_that_is_none_is_told_apart(
    tmp_path: Path, names: tuple[str, ...], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        model_folder.model_at(folder(tmp_path / "m", *names))


def test_a_split_without_its_first_part_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", "x-00002-of-00002.gguf") / "x-00002-of-00002.gguf"
    with pytest.raises(ModelNotFound, match=r"part 2 .* x-00001-of-00002\.gguf is missing"):
        model_folder.model_at(path)


def test_what_exists_wins_over_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user").mkdir()
    folder(tmp_path / "user" / "repo", "x.gguf")
    assert catalog.here("user/repo") == Path("user/repo/x.gguf")
    assert catalog.here("user/other") is None
    assert catalog.here("hf.co/user/repo") is None
