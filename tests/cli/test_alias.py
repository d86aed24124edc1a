"""`edgellm alias`: shown, moved, made and reset, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgellm.catalog import aliases, catalog
from edgellm.machine import machine as machines
from tests.fit import examples


@pytest.fixture(autouse=True)
def nobody_elses_models(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))


def rows(command, *arguments: str) -> dict[str, dict[str, object]]:
    outcome = command("alias", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return {row["alias"]: row for row in json.loads(outcome.out)}


def test_all_are_listed_with_what_they_mean(command) -> None:
    listed = rows(command)
    assert {"default", "default-fast", "default-smart", "code", "code-fast", "embed"} <= set(listed)
    assert listed["default"] == {"alias": "default", "models": ["smollm2"], "moved": False}
    lines = command("alias").out.splitlines()
    assert lines[0].split() == ["ALIAS", "MODEL"]
    assert any(line.startswith("code ") and "qwen2.5-coder-7b, qwen2.5-coder-1.5b" in line for line in lines)


def test_one_is_moved_shown_and_reset(command, home: Path) -> None:
    assert "default  qwen3-4b:Q8_0 (moved)" in command("alias", "default", "qwen3-4b:q8_0").out
    assert catalog.alias_candidates("default") != ()
    assert rows(command, "default")["default"]["models"] == ["qwen3-4b:Q8_0"]
    assert aliases.own_file().is_relative_to(home)
    assert rows(command, "default", "--reset")["default"] == {"alias": "default", "models": ["smollm2"], "moved": False}


def test_a_new_one_is_made_and_used(command) -> None:
    assert rows(command, "mine", "user/Repo-GGUF:Q4_0")["mine"]["models"] == ["user/Repo-GGUF:Q4_0"]
    assert rows(command, "mine", "code")["mine"]["models"] == rows(command, "code")["code"]["models"]
    assert "mine" not in rows(command, "--reset")


def test_what_cannot_be_is_one_line_of_advice(command) -> None:
    for arguments, code, problem in (
        (("cod",), 1, "there is no alias 'cod'. Make it"),
        (("smollm2",), 1, "is the name of a model"),
        (("smollm2", "qwen3-4b"), 2, "is the name of a model"),
        (("code", "qwen3-5b"), 1, "Did you mean qwen3-"),
        (("code", "code"), 2, "leads to itself"),
        (("code", "qwen3-4b", "--reset"), 2, "takes no MODEL"),
    ):
        outcome = command("alias", *arguments)
        assert (outcome.code, outcome.out) == (code, "")
        assert problem in outcome.err and outcome.err.count("\n") == 1


def test_a_damaged_file_is_named_and_reset_mends_it(command) -> None:
    aliases.own_file().parent.mkdir(parents=True)
    aliases.own_file().write_text("code = [", encoding="utf-8")
    broken = command("alias")
    assert broken.code == 2 and str(aliases.own_file()) in broken.err.replace("\n", "")
    assert command("alias", "--reset").code == 0
    assert not aliases.own_file().exists()


def test_of_several_it_says_which_the_machine_takes_and_why(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "detect", lambda *_, **__: examples.machine(16))
    row = rows(command, "code")["code"]
    assert row["now"] in row["models"] and "of the 16.0 GB that are free" in row["reason"]
    assert "now" not in rows(command, "default")["default"]
    text = command("alias", "code").out
    assert f"code: {row['now']}, the largest that fits" in text and all(
        len(line) <= 80 for line in text.splitlines()[2:]
    )
