"""Models in several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgellm.catalog import metadata
from edgellm.catalog.gguf_split import part_names
from edgellm.errors import ModelNotFound, NotAModel
from tests.doubles import gguf_file, range_server

SIZES = {"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 64}


def write_parts(folder: Path, **changes: dict[str, Any]) -> list[Path]:
    """Two layers and an embedding in three files; `changes` by part, such as `part2`."""
    names = [folder / name for name in part_names("m-00001-of-00003.gguf")]
    tensors = ({"token_embd.weight": ((64, 8), "F32")}, {"blk.0.a": ((64, 4), "F16")}, {"blk.1.a": ((64, 2), "F16")})
    for number, (name, listed) in enumerate(zip(names, tensors, strict=True)):
        split = {"split.no": number, "split.count": 3, "split.tensors.count": 3}
        settings = (SIZES if number == 0 else {}) | split | changes.get(f"part{number + 1}", {})
        gguf_file.write(name, settings, listed)
    return names


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a.gguf", 1),
        ("x/a-00002-of-00003.gguf", 3),
        ("a-00001-of-00001.gguf", 1),
        ("a-00004-of-00003.gguf", 1),
        ("a-00000-of-00003.gguf", 1),
        ("a-00001-of-99999.gguf", 1),
        ("a-00001-of-00003.bin", 1),
        ("a-1-of-3.gguf", 1),
    ],
)
def test_names_of_parts(name: str, count: int) -> None:
    names = part_names(name)
    assert len(names) == count and name in names
    if count > 1:
        assert names[0] == "x/a-00001-of-00003.gguf"


def test_any_part_names_the_whole(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    found = [metadata.facts(part) for part in (*parts, tmp_path)]
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0].weight_bytes == 64 * 8 * 4 + 64 * 4 * 2 + 64 * 2 * 2
    assert [layer.weights for layer in found[0].layers] == [512, 256]
    assert found[0].file_bytes == sum(part.stat().st_size for part in parts)


def test_parts_from_afar(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    with range_server.serving() as server:
        server.files = {part.name: part.read_bytes() for part in parts}
        assert metadata.facts_at(server.url(parts[1].name) + "?x=1") == metadata.facts(parts[0])
        assert [path for path, _ in server.requests] == [f"/{part.name}?x=1" for part in parts]


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path)[2].unlink()
    with pytest.raises(ModelNotFound, match="m-00003-of-00003"):
        metadata.facts(tmp_path / "m-00001-of-00003.gguf")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"part1": {"split.count": 2}}, "one of 2 parts"),
        ({"part2": {"split.no": 2}}, "not part 2"),
        ({"part3": {"split.count": 4}}, "not part 3"),
        ({"part1": {"split.tensors.count": 4}}, "3 tensors of 4"),
    ],
)
def test_parts_that_do_not_belong_together(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        metadata.facts(write_parts(tmp_path, **changes)[0])


def test_a_tensor_in_two_parts(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    split = {"split.no": 1, "split.count": 3}
    gguf_file.write(parts[1], split, {"token_embd.weight": ((64, 8), "F32")})
    with pytest.raises(NotAModel, match="not its own"):
        metadata.facts(parts[0])


def test_a_file_without_weights(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="no weights"):
        metadata.facts(gguf_file.write(tmp_path / "m.gguf", SIZES, {}))
