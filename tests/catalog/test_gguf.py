"""The header reader against the gguf package, and against headers that no program would write."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from edgellm.catalog.byte_source import FileBytes
from edgellm.catalog.gguf import Header, read_header
from edgellm.catalog.gguf_types import QUANTIZATIONS, TENSOR_TYPES
from edgellm.errors import EdgeLLMError, LoadError, ModelNotFound, NotAModel, UnsupportedModel
from tests import models, tiny_model
from tests.doubles import gguf_file

CPU_ONLY = "Q8_1"  # never in a file; gguf counts two float32 in its block where ggml has two float16
ARCHITECTURE = gguf_file.setting("general.architecture", "llama")


def read(path: Path, *wanted: str) -> Header:
    with FileBytes(path) as source:
        return read_header(source, frozenset(text.encode() for text in wanted))


def read_bytes(tmp_path: Path, data: bytes) -> Header:
    path = tmp_path / "made.gguf"
    path.write_bytes(data)
    return read(path)


def test_sizes_of_number_formats_are_those_of_gguf() -> None:
    ours = {number: (kind.elements, kind.bytes) for number, kind in TENSOR_TYPES.items() if kind.name != CPU_ONLY}
    theirs = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items() if kind.name != CPU_ONLY}
    assert theirs == {number: ours[number] for number in theirs}
    assert {kind.name for number, kind in TENSOR_TYPES.items() if number not in theirs} == {CPU_ONLY, "Q2_0"}
    for number in theirs:
        assert TENSOR_TYPES[number].name == gguf.GGMLQuantizationType(number).name


def test_names_of_quantizations_are_those_of_gguf() -> None:
    for kind in gguf.LlamaFileType:
        if kind.name != "GUESSED":
            assert QUANTIZATIONS[int(kind)] == kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix(
                "_MOE"
            )


def assert_as_gguf_reads_it(path: Path) -> None:
    header, theirs = read(path), gguf.GGUFReader(path)
    named = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert header.values.keys() | header.lengths.keys() == named.keys()
    for name, field in named.items():
        value: Any = field.contents()
        if name in header.lengths:
            assert header.lengths[name] == len(value)
            assert name not in header.values or list(header.values[name]) == value  # type: ignore[arg-type]
        else:
            assert header.values[name] == value
    assert [(one.name, list(one.shape), one.type, one.bytes, one.offset) for one in header.tensors] == [
        (one.name, one.shape.tolist(), one.tensor_type.name, int(one.n_bytes), int(one.data_offset))
        for one in theirs.tensors
    ]
    assert header.version == int(theirs.fields["GGUF.version"].parts[-1][0])
    assert header.file_bytes == path.stat().st_size


def test_a_small_model_reads_as_gguf_reads_it(tmp_path: Path) -> None:
    assert_as_gguf_reads_it(tiny_model.build(tmp_path))


@pytest.mark.model
def test_smollm2_reads_as_gguf_reads_it() -> None:
    assert_as_gguf_reads_it(models.path("smollm2"))


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen-0.5b", "qwen-1.5b", "gemma-270m"])
def test_a_test_model_reads_as_gguf_reads_it(name: str) -> None:
    assert_as_gguf_reads_it(models.path(name))


@pytest.mark.parametrize("version", [2, 3])
def test_every_kind_of_value(tmp_path: Path, version: int) -> None:
    forms = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    settings = []
    for kind, form in forms.items():
        settings.append(gguf_file.text(f"one.{kind}") + struct.pack("<I" + form, kind, 1))
        settings.append(gguf_file.text(f"list.{kind}") + struct.pack(f"<IIQ3{form}", 9, kind, 3, 1, 0, 1))
    settings.append(gguf_file.setting("texts", ["a", "", "\u00fc"]))
    settings.append(gguf_file.setting("none", []))
    header = read_bytes(tmp_path, gguf_file.header(settings, [], version))
    assert header.version == version
    assert all(header.values[f"one.{kind}"] == 1 and header.values[f"list.{kind}"] == (1, 0, 1) for kind in forms)
    assert header.values["texts"] == ("a", "", "\u00fc") and header.values["none"] == ()


def test_what_is_long_is_counted_and_not_kept(tmp_path: Path) -> None:
    numbers = gguf_file.text("numbers") + struct.pack("<IIQ", 9, 4, 5000) + bytes(20_000)
    long = gguf_file.setting("long", "x" * 3_000_000)
    tokens = gguf_file.setting("tokenizer.ggml.tokens", [f"token {number}" for number in range(50_000)])
    header = read_bytes(tmp_path, gguf_file.header([ARCHITECTURE, numbers, long, tokens], []))
    assert header.lengths == {"numbers": 5000, "tokenizer.ggml.tokens": 50_000}
    assert header.values == {"general.architecture": "llama"}


def test_tokens_are_found_wherever_they_stand(tmp_path: Path) -> None:
    tokens = [f"token {number}" for number in range(30_000)]
    path = tmp_path / "made.gguf"
    path.write_bytes(gguf_file.header([gguf_file.setting("tokenizer.ggml.tokens", tokens)], []))
    header = read(path, *tokens[::7], "token", "token 30000")
    assert header.marks == {token.encode() for token in tokens[::7]}


def test_no_more_is_read_than_the_header(tmp_path: Path) -> None:
    path = gguf_file.write(tmp_path / "m.gguf", {"general.architecture": "x"}, {"t": ((2048, 2048), "F32")})

    class Watched(FileBytes):
        furthest = 0

        def read(self, start: int, size: int) -> bytes:
            self.furthest = max(self.furthest, start + size)
            return super().read(start, size)

    with Watched(path) as source:
        header = read_header(source)
        assert header.end < 200 and source.furthest <= FileBytes.first_block < path.stat().st_size


Maker = Callable[[], bytes]
GOOD = gguf_file.tensor("a", (32, 2), 0, 0)


def array(kind: int, count: int, data: bytes = b"") -> bytes:
    return gguf_file.text("key") + struct.pack("<IIQ", 9, kind, count) + data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends at byte 0"),
        (b"GGU", "ends at byte 3"),
        (b"GGUF", "inside its header"),
        (b"<!DOCTYPE html>", "not a GGUF file"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**63, 0), "tensors, more than"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**63), "settings, more than"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**64 - 1, 2**64 - 1), "more than"),
        (gguf_file.header([struct.pack("<Q", 2**60) + bytes(64)], []), "a text of"),
        (gguf_file.header([gguf_file.text("k") + struct.pack("<IQ", 8, 2**60) + bytes(64)], []), "bytes of text"),
        (gguf_file.header([array(4, 2**63, bytes(64))], []), "entries in 'key'"),
        (gguf_file.header([array(8, 2**40, bytes(64))], []), "entries in 'key'"),
        (gguf_file.header([array(8, 2, struct.pack("<Q", 2**60) + bytes(64))], []), "bytes of text"),
        (gguf_file.header([array(9, 1, struct.pack("<IQ", 4, 1) + bytes(64))], []), "list 'key' is of unknown type 9"),
        (gguf_file.header([gguf_file.text("key") + struct.pack("<I", 13) + bytes(64)], []), "unknown type 13"),
        (gguf_file.header([ARCHITECTURE, ARCHITECTURE], []), "stands there twice"),
        (gguf_file.header([array(4, 0), gguf_file.setting("key", 1)], []), "stands there twice"),
        (gguf_file.header([gguf_file.setting("", 1)], []), "no name"),
        (gguf_file.header([gguf_file.setting("general.alignment", 0)], [GOOD]) + bytes(512), "alignment is 0"),
        (gguf_file.header([gguf_file.setting("general.alignment", 33)], [GOOD]) + bytes(512), "alignment is 33"),
        (gguf_file.header([gguf_file.setting("general.alignment", "32")], [GOOD]) + bytes(512), "alignment is '32'"),
        (gguf_file.header([gguf_file.setting("general.alignment", True)], [GOOD]) + bytes(512), "alignment is True"),
        (gguf_file.header([], [GOOD, GOOD]) + bytes(900), "'a' stands there twice"),
        (gguf_file.header([], [GOOD]) + bytes(100), "cut off"),
        (gguf_file.header([], [GOOD, gguf_file.tensor("b", (32,), 0, 32)]) + bytes(900), "is not where"),
        (gguf_file.header([], [GOOD, gguf_file.tensor("b", (32,), 0, 2**40)]) + bytes(900), "is not where"),
        (gguf_file.header([], [gguf_file.tensor("a", (2**40, 2**20), 0, 0)]) + bytes(900), "cut off"),
        (gguf_file.header([], [gguf_file.tensor("a", (2**40, 2**40), 0, 0)]) + bytes(900), "the shape"),
        (gguf_file.header([], [gguf_file.tensor("a", (0, 4), 0, 0)]) + bytes(900), "the shape"),
        (gguf_file.header([], [gguf_file.tensor("a", (31,), 2, 0)]) + bytes(900), "the shape"),
        (gguf_file.header([], [gguf_file.tensor("a", (1, 1, 1, 1, 1), 0, 0)]) + bytes(900), "5 dimensions"),
        (gguf_file.header([], [gguf_file.tensor("a" * 64, (32,), 0, 0)]) + bytes(900), "a text of 64"),
    ],
)
def test_a_hostile_header_is_refused_with_the_reason(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(NotAModel) as caught:
        read_bytes(tmp_path, data)
    assert words in str(caught.value) and "made.gguf" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("<4sIII", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack("<4sIQQ", b"GGUF", 4, 0, 0), "version 4"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "big-endian"),
        (gguf_file.header([], [gguf_file.tensor("a", (32,), 4, 0)]) + bytes(900), "number format 4,"),
        (gguf_file.header([], [gguf_file.tensor("a", (32,), 139, 0)]) + bytes(900), "number format 139,"),
    ],
)
def test_what_may_be_sound_but_is_unknown_is_told_apart(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        read_bytes(tmp_path, data)


def test_memory_stays_bounded_whatever_a_file_is_full_of(tmp_path: Path) -> None:
    many_keys = [gguf_file.setting(f"key {number}", "x" * 60_000) for number in range(1000)]
    long_keys = [gguf_file.setting(f"{number:05d}" + "x" * 60_000, 1) for number in range(1000)]
    lists = [gguf_file.text(f"{number}") + struct.pack("<IIQ", 9, 0, 1024) + bytes(1024) for number in range(16_000)]
    tensors = [gguf_file.tensor(f"tensor {number}", (1,), 0, 32 * number) for number in range(20_000)]
    hostile = [
        gguf_file.header(many_keys, []),
        gguf_file.header(long_keys, []),
        gguf_file.header(lists, []),
        gguf_file.header([], tensors) + bytes(32 * 20_000),
        gguf_file.header([array(8, 300_000, bytes(2_400_000))], []),
    ]
    for number, data in enumerate(hostile):
        (tmp_path / f"{number}.gguf").write_bytes(data)
    for number in range(len(hostile)):
        tracemalloc.start()
        try:
            read(tmp_path / f"{number}.gguf")
        except NotAModel as error:
            assert "larger than those of any model" in str(error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 * 2**20, number


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model file"):
        read(tmp_path / "absent.gguf")
    with pytest.raises(LoadError):
        read(tmp_path)
    with pytest.raises(EdgeLLMError):
        read(tmp_path / "a\0b")
