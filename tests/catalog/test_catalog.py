"""The catalog: what the shipped one promises, how text becomes a model, and that a wrong one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import catalog
from edgellm.catalog.catalog import Entry, FileSource, PackageSource
from edgellm.errors import ConfigError, ModelNotFound
from edgellm.request import SamplingParams

GOOD = """
[models.tiny]
title = "Tiny"
family = "tiny"
license = "MIT"
context = 512
parameters = 1000
quantization = "F16"
file = "tiny.gguf"
bytes = 10
sha256 = "{sha}"
aliases = ["default", "small"]
[[models.tiny.sources]]
kind = "package"
parts = [{{ requirement = "tiny==1.0", member = "tiny/tiny.gguf" }}]
[[models.tiny.sources]]
kind = "file"
path = "~/tiny.gguf"
""".format(sha="0" * 64)


def written(directory: Path, text: str) -> Path:
    file = directory / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def tiny(tmp_path: Path) -> catalog.Catalog:
    return catalog.load(written(tmp_path, GOOD))


def test_the_shipped_catalog_has_the_starter_as_default() -> None:
    entry = catalog.resolve("default")
    assert isinstance(entry, Entry)
    assert (entry.name, entry.license, entry.context, entry.bytes) == ("smollm2", "Apache-2.0", 8192, 98_362_432)
    assert entry == catalog.resolve("smollm2")


def test_the_starter_is_sampled_as_its_makers_say(tiny: catalog.Catalog) -> None:
    assert catalog.shipped().entries["smollm2"].sampling == SamplingParams(temperature=0.2, top_p=0.9)
    assert tiny.entries["tiny"].sampling == SamplingParams()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("{ heat = 1 }", "'heat'"),
        ("{ temperature = -1 }", "temperature must be"),
        ('{ top_p = "all" }', "float"),
        ("{ top_k = 1.5 }", "int"),
    ],
)
def test_sampling_that_cannot_be_is_refused(tmp_path: Path, table: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"'tiny'.*{problem}"):
        catalog.load(written(tmp_path, GOOD.replace("aliases =", f"sampling = {table}\naliases =")))


def test_sampling_may_hold_a_bias(tmp_path: Path) -> None:
    text = GOOD.replace("aliases =", 'sampling = { logit_bias = { "5" = -1 }, temperature = 1 }\naliases =')
    found = catalog.load(written(tmp_path, text)).entries["tiny"].sampling
    assert found == SamplingParams(logit_bias={5: -1.0}, temperature=1.0)


def test_test_models_are_readable_and_agree_with_the_shipped_ones() -> None:
    tests = catalog.load(Path(__file__).parents[1] / "models.toml")
    assert list(tests.entries) == ["smollm2", "qwen-0.5b", "qwen-1.5b", "gemma-270m", "minilm", "minilm-int8"]
    assert tests.entries["smollm2"].sha256 == catalog.shipped().entries["smollm2"].sha256
    sizes = {name: len(entry.sources[0].parts) for name, entry in tests.entries.items()}  # type: ignore[union-attr]
    assert sizes == {"smollm2": 1, "qwen-0.5b": 6, "qwen-1.5b": 22, "gemma-270m": 4, "minilm": 1, "minilm-int8": 1}


def test_sources_keep_their_order_and_kind(tiny: catalog.Catalog) -> None:
    package, file = tiny.entries["tiny"].sources
    assert isinstance(package, PackageSource)
    assert package.parts[0].requirement == "tiny==1.0"
    assert file == FileSource(path="~/tiny.gguf")


@pytest.mark.parametrize("text", ["tiny", "TINY", "small", "default", " tiny "])
def test_names_and_aliases_resolve(tiny: catalog.Catalog, text: str) -> None:
    assert tiny.resolve(text) is tiny.entries["tiny"]


def test_a_file_wins_over_a_name(tiny: catalog.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_bytes(b"GGUF")
    assert tiny.resolve("tiny") == Path("tiny")


def test_a_directory_does_not_hide_a_name(
    tiny: catalog.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert tiny.resolve("tiny") is tiny.entries["tiny"]


def test_a_typo_is_told_what_was_meant(tiny: catalog.Catalog) -> None:
    with pytest.raises(ModelNotFound, match=r"no model is called 'tiyn'\. Did you mean tiny"):
        tiny.resolve("tiyn")


@pytest.mark.parametrize("text", ["models/x/y", "x.gguf", "C:\\x", "~/x"])
def test_what_looks_like_a_path_is_told_that_there_is_no_file(tiny: catalog.Catalog, text: str) -> None:
    with pytest.raises(ModelNotFound, match="there is no file"):
        tiny.resolve(text)


@pytest.mark.parametrize("text", ["", "x" * 5000, "a\0b"])
def test_text_that_no_path_can_be_is_not_found_either(tiny: catalog.Catalog, text: str) -> None:
    with pytest.raises(ModelNotFound):
        tiny.resolve(text)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("bytes = 10", "bytes = 0", "bytes"),
        ("0" * 64, "0" * 63, "sha256"),
        ('file = "tiny.gguf"', 'file = "../tiny.gguf"', "file"),
        ('title = "Tiny"', 'title = "Tiny"\ntitel = "x"', "titel"),
        ("tiny==1.0", "--index-url=x", "requirement"),
        ("tiny==1.0", "tiny>=1.0", "requirement"),
        ("tiny/tiny.gguf", "../tiny.gguf", "member"),
        ("tiny/tiny.gguf", "/tiny.gguf", "member"),
        ('kind = "file"', 'kind = "carrier-pigeon"', "carrier-pigeon"),
        ('license = "MIT"', "", "license"),
        ("context = 512", "context = [", "TOML|Invalid"),
    ],
)
def test_a_wrong_catalog_is_refused_with_the_place(tmp_path: Path, before: str, after: str, problem: str) -> None:
    file = written(tmp_path, GOOD.replace(before, after))
    with pytest.raises(ConfigError, match=problem) as caught:
        catalog.load(file)
    assert str(file) in str(caught.value)


def test_an_alias_of_two_models_is_refused(tmp_path: Path) -> None:
    text = GOOD + GOOD.replace("models.tiny", "models.tiny2")
    with pytest.raises(ConfigError, match="'default' names more than one model"):
        catalog.load(written(tmp_path, text))


def test_an_alias_that_is_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="aliases: 'tiny' is the name of a model"):
        catalog.load(written(tmp_path, GOOD + '[aliases]\ntiny = ["a/b"]'))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('Big = ["a/b"]', "lower case"),
        ("big = []", "stands for nothing"),
        ('big = ["a b"]', "'big': no model is called 'a b'"),
        ('"a/b" = ["tiny"]', "must be a name"),
        ("big = 1", "array"),
    ],
)
def test_a_wrong_alias_is_refused_with_the_place(tmp_path: Path, line: str, problem: str) -> None:
    file = written(tmp_path, f"{GOOD}[aliases]\n{line}\n")
    with pytest.raises(ConfigError, match=problem) as caught:
        catalog.load(file)
    assert str(file) in str(caught.value)


def test_a_quantization_picks_the_sources_that_have_it(tmp_path: Path) -> None:
    text = (
        GOOD
        + """
[[models.tiny.sources]]
kind = "hub"
repository = "a/tiny-GGUF"
quantizations = ["Q8_0"]
[[models.tiny.sources]]
kind = "hub"
format = "mlx"
repository = "a/tiny-mlx"
file = "*"
quantizations = ["4-bit"]
"""
    )
    found = catalog.load(written(tmp_path, text))
    plain, q8, mlx = (found.resolve(name) for name in ("tiny", "tiny:q8_0", "small:4bit"))
    assert isinstance(plain, Entry) and isinstance(q8, Entry) and isinstance(mlx, Entry)
    assert [type(source) for source in plain.sources] == [PackageSource, FileSource]
    assert (q8.reference, q8.bytes, q8.sha256) == ("tiny:Q8_0", 0, "")
    assert [source.repository for source in (*q8.sources, *mlx.sources)] == ["a/tiny-GGUF", "a/tiny-mlx"]
    unlisted = found.resolve("tiny:Q6_K")
    assert isinstance(unlisted, Entry) and unlisted.sources == q8.sources
    assert found.entries["tiny"].hub_source("mlx") == mlx.sources[0]
    assert found.entries["tiny"].hub_source("onnx") is None
    with pytest.raises(ModelNotFound, match="not known to come as int4, but as F16, Q8_0, 4-bit"):
        found.resolve("tiny:int4")


def test_family_and_size_are_a_name_too(tmp_path: Path) -> None:
    found = catalog.load(written(tmp_path, GOOD.replace("models.tiny", 'models."big-1.5b"')))
    assert found.resolve("Big:1.5B") == found.entries["big-1.5b"]


class TestTheUsersOwn:
    """Their models.toml goes over the shipped one, key by key."""

    @pytest.fixture
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
        catalog.own_file().parent.mkdir(parents=True)
        return catalog.own_file()

    def test_it_adds_models_and_changes_keys_of_known_ones(self, own: Path) -> None:
        own.write_text(
            GOOD.replace('aliases = ["default", "small"]', "")
            + "[models.smollm2]\nsampling = { temperature = 0.5 }\n[aliases]\ncode = ['tiny']\n",
            encoding="utf-8",
        )
        found = catalog.current()
        before = catalog.shipped().entries["smollm2"]
        assert found.entries["smollm2"].sampling == SamplingParams(temperature=0.5)
        assert found.entries["smollm2"].sha256 == before.sha256
        assert catalog.resolve("code") == found.entries["tiny"]
        assert before.sampling == SamplingParams(temperature=0.2, top_p=0.9)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("[models.smollm2]\nheat = 1", "model 'smollm2'.*heat"),
            ("[models.smollm2]\nasked = 'Q8_0'", "model 'smollm2'.*asked"),
            ("[models.smollm2]\ndraft = 'smollm2'", "guess ahead for itself"),
            ("[models.smollm2]\ndraft = 'nobody'", "no model 'nobody'"),
            ("[models.new]\ntitle = 'New'", "model 'new'.*family"),
            ("[model.new]\ntitle = 'New'", "model"),
            ("[models", "TOML|Invalid|Expected"),
        ],
    )
    def test_what_is_wrong_is_told_with_file_model_and_key(self, own: Path, text: str, problem: str) -> None:
        own.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=problem) as caught:
            catalog.current()
        assert str(own) in str(caught.value)

    def test_without_one_the_shipped_catalog_is_in_force(self, own: Path) -> None:
        assert catalog.current() is catalog.shipped()


def test_a_missing_catalog_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the catalog"):
        catalog.load(tmp_path / "none.toml")


def test_what_a_header_tells_need_not_be_written(tmp_path: Path) -> None:
    text = GOOD.replace("context = 512\n", "").replace("parameters = 1000\n", "")
    entry = catalog.load(written(tmp_path, text)).entries["tiny"]
    assert (entry.context, entry.parameters) == (0, 0)
