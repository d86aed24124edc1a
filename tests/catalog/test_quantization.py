"""Quantizations: read out of file names as people name files, and spelled one way."""

from __future__ import annotations

import pytest

from edgellm.catalog import quantization


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("x-IQ3_XXS-00001-of-00003.gguf", "IQ3_XXS"),
        ("BF16/model-00001-of-00002.gguf", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("qwen-fp16.gguf", "F16"),
        ("q8-model-Q2_K_L.gguf", "Q2_K_L"),
        ("model.gguf", ""),
        ("Qwen3-0.6B.gguf", ""),
    ],
)
def test_a_file_name_tells_the_quantization(file: str, name: str) -> None:
    assert quantization.of_file(file) == name


@pytest.mark.parametrize(
    ("written", "normal"),
    [("q4_k_m", "Q4_K_M"), ("fp16", "F16"), ("4bit", "4-bit"), ("8-Bit", "8-bit"), ("INT4", "int4"), ("1.5b", "1.5b")],
)
def test_one_spelling(written: str, normal: str) -> None:
    assert quantization.normal(written) == normal
    assert quantization.is_known(written) == (normal != "1.5b")


def test_a_repository_is_grouped_into_models() -> None:
    files = ["a-Q4_0.gguf", "a-Q8_0-00002-of-00002.gguf", "a-Q8_0-00001-of-00002.gguf", "a-Q6_K-00001-of-00002.gguf"]
    noise = ["mmproj-a-F16.gguf", "a-imatrix.gguf", "README.md", "deep/er/a-Q4_0.gguf", "a-Q5_0.gguf.part"]
    assert quantization.groups([*noise, *files]) == {
        "Q4_0": ("a-Q4_0.gguf",),
        "Q8_0": ("a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf"),
    }
