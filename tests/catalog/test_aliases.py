"""Aliases: what they stand for, moving them, and that none leads to itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgellm.catalog import aliases, catalog
from edgellm.catalog.reference import HubReference, NameReference, PathReference
from edgellm.errors import ConfigError, ModelNotFound


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("EDGELLM_HOME", "HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def move(alias: str, target: str) -> None:
    aliases.move(alias, target, catalog.current())


def means(text: str) -> list[str]:
    return [str(reference) for reference in catalog.alias_candidates(text)]


def test_an_alias_may_mean_several_from_large_to_small() -> None:
    entries = catalog.shipped().entries
    candidates = catalog.alias_candidates("code")
    assert len(candidates) > 2
    sizes = [entries[reference.name].parameters for reference in candidates if isinstance(reference, NameReference)]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == len(candidates)
    assert catalog.resolve("code") == entries[means("code")[-1]].at()


def test_without_a_choice_a_name_means_itself() -> None:
    assert catalog.alias_candidates("smollm2:q8_0") == (NameReference("smollm2", "Q8_0"),)
    assert catalog.alias_candidates("a/b") == (HubReference("a/b"),)
    assert catalog.alias_candidates("nobody") == (NameReference("nobody"),)


def test_a_quantization_goes_with_the_alias() -> None:
    assert all(text.endswith(":Q8_0") for text in means("code:q8_0"))


def test_the_starter_is_default_until_somebody_moves_it() -> None:
    assert means("default") == ["smollm2"]
    move("default", "qwen3-4b:Q8_0")
    assert means("default") == ["qwen3-4b:Q8_0"]
    assert aliases.reset("default") == ("default",)
    assert means("default") == ["smollm2"]


def test_what_was_moved_is_kept_as_toml_that_says_what_it_is(home: Path) -> None:
    move("code", "hf.co/user/Repo-GGUF:q5_k_m")
    move("mine", "code")
    text = aliases.own_file().read_text(encoding="utf-8")
    assert text.startswith("# What edgellm's aliases stand for")
    assert 'code = "user/Repo-GGUF:Q5_K_M"' in text
    assert means("mine") == ["user/Repo-GGUF:Q5_K_M"]
    assert [file.name for file in aliases.own_file().parent.iterdir()] == ["aliases.toml"]


def test_a_path_is_kept_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "own.gguf").write_bytes(b"GGUF")
    move("mine", "own.gguf")
    monkeypatch.chdir(home.parent)
    assert catalog.alias_candidates("mine") == (PathReference(str(home / "own.gguf")),)
    assert catalog.resolve("mine") == home / "own.gguf"


def test_a_loop_is_refused_and_nothing_changes() -> None:
    move("a", "smollm2")
    move("b", "a")
    for alias, target in (("a", "b"), ("a", "a")):
        with pytest.raises(ConfigError, match="leads to itself"):
            move(alias, target)
    assert means("b") == ["smollm2"]


def test_a_loop_that_somebody_wrote_is_told(home: Path) -> None:
    aliases.own_file().parent.mkdir(parents=True)
    aliases.own_file().write_text('a = "b"\nb = "a"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'a' leads to itself \(a -> b -> a\)"):
        catalog.resolve("a")
    assert catalog.resolve("smollm2") == catalog.shipped().entries["smollm2"].at()


@pytest.mark.parametrize(
    ("alias", "target", "error"),
    [
        ("code", "no-such-model", "no model is called"),
        ("code", "none/at/all.gguf", "there is no file"),
        ("code", "smollm2:4bit", "not known to come as 4-bit"),
        ("smollm2", "qwen3-4b", "the name of a model"),
        ("a/b", "qwen3-4b", "cannot be an alias"),
        ("code:q4_0", "qwen3-4b", "cannot be an alias"),
        ("../x", "qwen3-4b", "cannot be an alias"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(alias: str, target: str, error: str) -> None:
    with pytest.raises((ConfigError, ModelNotFound), match=error):
        move(alias, target)
    assert not aliases.own_file().exists()


@pytest.mark.parametrize("text", ["code = 1", "code = [", 'code = "a b"', '"../x" = "smollm2"', "\xff"])
def test_a_wrong_file_is_named_and_can_be_reset(text: str) -> None:
    aliases.own_file().parent.mkdir(parents=True)
    aliases.own_file().write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"aliases\.toml is wrong.*--reset"):
        catalog.current()
    assert aliases.reset()
    assert means("default") == ["smollm2"]


def test_resetting_what_was_not_moved_changes_nothing() -> None:
    assert aliases.reset("code") == ()
    assert aliases.reset() == ()
