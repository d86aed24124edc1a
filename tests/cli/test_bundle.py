"""`edgellm bundle`: what its commands print and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def bundle(command, tmp_path: Path) -> Path:
    model = tmp_path / "small.gguf"
    model.write_bytes(b"GGUF" * 100)
    outcome = command("bundle", "create", "--no-wheels", "--models", str(model), str(tmp_path / "b.tar"))
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"{tmp_path / 'b.tar'} is ready:")
    assert "no packages" in outcome.out
    assert "install.py" not in outcome.out
    return tmp_path / "b.tar"


def test_a_whole_bundle_is_said_to_be_whole(command, bundle: Path) -> None:
    outcome = command("bundle", "verify", str(bundle))
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "the bundle is whole: 2 files, " + outcome.out.splitlines()[0].split(", ")[1]
    facts = json.loads(command("bundle", "verify", "--json", str(bundle)).out)
    assert facts["whole"]
    assert [model["use"] for model in facts["models"]] == ["small"]
    assert (facts["platform"], facts["file_count"]) == ("", 2)


def test_a_damaged_bundle_is_one_line_and_an_exit_code(command, bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"GGUFGGUF")] ^= 1
    bundle.write_bytes(data)
    outcome = command("bundle", "verify", str(bundle))
    assert (outcome.code, outcome.out) == (1, "")
    assert "small.gguf does not have the sum" in outcome.err
    outcome = command("bundle", "verify", "--json", str(bundle))
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert (told["whole"], told["code"]) == (False, "checksum_mismatch")
    outcome = command("bundle", "install", str(bundle))
    assert (outcome.code, outcome.out) == (1, "")


def test_models_are_installed_once(command, bundle: Path, home: Path) -> None:
    first, second = (command("bundle", "install", str(bundle)) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    path = Path(first.out.strip().split(": ", 1)[1])
    assert path.read_bytes() == b"GGUF" * 100
    assert path.is_relative_to(home)
    assert "is ready" in first.out
    assert "was here already" in second.out
    assert "copying small" in first.err


def test_a_bundle_is_never_written_over(command, bundle: Path) -> None:
    outcome = command("bundle", "create", "--no-wheels", "--models", str(bundle.parent / "small.gguf"), str(bundle))
    assert outcome.code == 1
    assert "is there already" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--platform", "amiga"), 2, "no platform 'amiga'"),
        (("--python", "3.8"), 2, "--python 3.8"),
        (("--offline",), 1, "--no-wheels"),
        (("--no-wheels", "--models", "no-such-model"), 1, "no-such-model"),
    ],
)
def test_what_cannot_be_made_is_said_at_once(
    command, home: Path, words: tuple[str, ...], code: int, problem: str
) -> None:
    outcome = command("bundle", "create", *words, str(home / "out"))
    assert outcome.code == code
    assert problem in outcome.err
    assert not (home / "out").exists()
