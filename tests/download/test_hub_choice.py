"""Which files of a repository are taken: the quantization asked for, the usual one, all splits, other kinds."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edgellm.catalog.sources import HubSource
from edgellm.download import hub_choice
from edgellm.errors import NotAtSource

SOURCE = HubSource(repository="maker/tiny", file="*")
LISTING = (
    ".gitattributes",
    "README.md",
    "tiny-IQ2_XXS.gguf",
    "tiny-Q8_0.gguf",
    "tiny-UD-Q4_K_XL.gguf",
    "mmproj-F16.gguf",
    "Q6_K/tiny-Q6_K-00001-of-00002.gguf",
    "Q6_K/tiny-Q6_K-00002-of-00002.gguf",
    "BF16/tiny-BF16-00001-of-00003.gguf",
)


def test_splits_in_a_folder_are_one_model() -> None:
    choice = hub_choice.choose(SOURCE, LISTING, "Q6_K")
    assert choice.files == LISTING[6:8]


def test_a_split_that_is_incomplete_is_none() -> None:
    with pytest.raises(NotAtSource, match=r"no BF16\. It has: IQ2_XXS, Q6_K, Q8_0, UD-Q4_K_XL"):
        hub_choice.choose(SOURCE, LISTING, "BF16")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("Q2_K", "Q4_K_M", "Q8_0"), "Q4_K_M"),
        (("Q2_K", "Q4_0", "Q5_K_M"), "Q4_0"),
        (("Q2_K", "Q8_0", "F16"), "Q8_0"),
        (("F16",), "F16"),
    ],
)
def test_the_usual_is_taken_where_none_is_named(names: tuple[str, ...], taken: str) -> None:
    assert hub_choice.choose(SOURCE, [f"tiny-{name}.gguf" for name in names]).quantization == taken


def test_a_file_without_a_quantization_in_its_name_is_the_model() -> None:
    assert hub_choice.choose(SOURCE, ["tiny.gguf"]).files == ("tiny.gguf",)


def test_a_pattern_of_the_catalog_limits_the_choice() -> None:
    source = HubSource(repository="maker/tiny", file="good-{quantization}.gguf")
    listing = ["bad-Q4_K_M.gguf", "good-q4_k_m.gguf", "good-q8_0.gguf"]
    assert hub_choice.choose(source, listing, "Q4_K_M").files == ("good-q4_k_m.gguf",)
    assert hub_choice.choose(source, listing).files == ("good-q4_k_m.gguf",)


def test_folders_of_the_other_kinds() -> None:
    mlx = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "original/params.json"]
    assert hub_choice.choose(SOURCE, mlx).format == "mlx"
    assert hub_choice.choose(SOURCE, mlx).files == ("config.json", "model.safetensors", "tokenizer.json")
    onnx = ["config.json", "genai_config.json", "model.onnx", "model.onnx.data"]
    assert hub_choice.choose(SOURCE, onnx).format == "onnx"


def test_of_several_onnx_models_the_one_for_processors_is_taken() -> None:
    listing = [
        f"{folder}/{file}"
        for folder in ("cuda/int4", "cpu_and_mobile/int4")
        for file in ("genai_config.json", "m.onnx")
    ]
    files = ("cpu_and_mobile/int4/genai_config.json", "cpu_and_mobile/int4/m.onnx")
    assert hub_choice.choose(SOURCE, ["README.md", "config.json", *listing]).files == files
    assert hub_choice.choose(SOURCE, listing[:2]).files == tuple(listing[:2])


@given(st.lists(st.text(max_size=30), max_size=10), st.sampled_from(["", "Q4_K_M", "F16"]))
def test_no_listing_breaks_the_choice(listing: list[str], quantization: str) -> None:
    try:
        choice = hub_choice.choose(SOURCE, listing, quantization)
    except NotAtSource:
        return
    assert choice.files and set(choice.files) <= set(listing)
