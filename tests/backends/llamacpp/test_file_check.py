"""The check accepts what is sound and names what is not, with no byte of a file taken on trust."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.llamacpp import file_check
from edgellm.errors import EdgeLLMError, NotAModel


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(*settings_: bytes, tensors: int = 1, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(settings_) if count is None else count) + b"".join(settings_)


ARCHITECTURE = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
TENSOR = text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 0)


def written(directory: Path, data: bytes, pad: int = 64) -> Path:
    path = directory / "file.gguf"
    path.write_bytes(data + bytes(pad))
    return path


def number(key: bytes, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def tokens(*values: bytes) -> bytes:
    return text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))


def test_a_sound_header_is_read(tiny: Path) -> None:
    facts = file_check.check(tiny)
    assert facts.architecture == "llama"
    assert facts.values["llama.block_count"] == 2
    assert facts.lengths["tokenizer.ggml.tokens"] == 512


def test_a_small_header_is_accepted(tmp_path: Path) -> None:
    data = header(ARCHITECTURE, tokens(b"a", b"", b"b"), number(b"llama.block_count", 3)) + TENSOR
    assert file_check.check(written(tmp_path, data)).values["llama.block_count"] == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header(count=2**63), "9,223,372,036,854,775,808 settings"),
        (header(tensors=2**40), "tensors"),
        (header(ARCHITECTURE) + text(b"t") + struct.pack("<I", 9), "9 dimensions"),
        (header(ARCHITECTURE) + text(b"t") + struct.pack("<IQIQ", 1, 2**62, 0, 0), "cut off"),
        (header(ARCHITECTURE) + text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 4096), "not where"),
        (header(ARCHITECTURE, tensors=2) + TENSOR + TENSOR, "twice|not where"),
        (header(ARCHITECTURE, tensors=0), "no weights"),
        (header(ARCHITECTURE, ARCHITECTURE) + TENSOR, "twice"),
        (header(text(b"x") + struct.pack("<I", 99)) + TENSOR, "unknown type 99"),
        (header(text(b"x") + struct.pack("<IIQ", 9, 8, 2**60)) + TENSOR, "entries in 'x'"),
        (header(text(b"x") + struct.pack("<IIQQ", 9, 8, 1, 2**63)) + TENSOR, "ends at byte"),
        (header(tokens(b"same", b"other", b"same")) + TENSOR, "equal"),
        (header(tokens(b"same", b"same\0tail")) + TENSOR, "equal"),
        (header(tokens(b"[EMPTY_1]", b"")) + TENSOR, "equal"),
        (header(number(b"general.alignment", 33)) + TENSOR, "alignment"),
        (header(number(b"llama.block_count", 2)) + TENSOR, "architecture"),
        (header(ARCHITECTURE, number(b"llama.block_count", 100_000)) + TENSOR, "block_count is 100,000"),
        (header(ARCHITECTURE, number(b"llama.expert_used_count", 2)) + TENSOR, "2 of 0 experts"),
        (
            header(ARCHITECTURE, text(b"llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, -1)) + TENSOR,
            "-1",
        ),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(NotAModel, match=reason):
        file_check.check(written(tmp_path, data))


def test_texts_longer_than_the_window_are_read(tmp_path: Path) -> None:
    long = [bytes([65 + index]) * (700_000 * index) for index in range(4)]
    merges = text(b"m") + struct.pack("<IIQ", 9, 8, 4) + b"".join(map(text, long))
    facts = file_check.check(written(tmp_path, header(ARCHITECTURE, tokens(*long), merges) + TENSOR))
    assert facts.lengths["tokenizer.ggml.tokens"] == facts.lengths["m"] == 4


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.integers(0, 600))
def test_any_bytes_end_in_one_of_our_errors(tmp_path_factory: pytest.TempPathFactory, tail: bytes, keep: int) -> None:
    path = tmp_path_factory.mktemp("any") / "file.gguf"
    sound = header(ARCHITECTURE, tokens(b"a", b"b"), number(b"llama.block_count", 3)) + TENSOR
    path.write_bytes(sound[:keep] + tail)
    try:
        assert file_check.check(path).version == 3
    except EdgeLLMError as error:
        assert str(path) in str(error)
