"""Models of upstreams from the command line: listed, asked, and refused in words where an option cannot apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgellm.catalog import catalog
from edgellm.runtime import installed
from tests.cli.test_diagnosis import USED
from tests.doubles.vllm_server import NAME, VllmServer, vllm_server


@pytest.fixture
def far(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmServer]:
    """An upstream `far`, and one that is not there."""
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("FAR_KEY", "sk-good")
    monkeypatch.setenv("EDGELLM_UPSTREAM_WAIT", "20")
    with vllm_server(key="sk-good") as double:
        catalog.own_file().parent.mkdir(parents=True, exist_ok=True)
        catalog.own_file().write_text(
            f'[upstreams.far]\nurl = "{double.url}/v1"\nkey = "env:FAR_KEY"\n'
            '[upstreams.gone]\nurl = "http://127.0.0.1:9"\n',
            encoding="utf-8",
        )
        yield double


def test_run_asks_it(command, far: VllmServer) -> None:
    outcome = command("run", "-m", "far/", "hi", "--stats")
    assert (outcome.code, outcome.out) == (0, "Hello there ! It is good to see you .\n")
    assert "answer 10 tokens" in outcome.err and "up to the upstream" in outcome.err
    assert command("chat", "--plain", "-m", f"far/{NAME}", stdin=b"hi\n").out.count("Hello there") == 1


def test_what_only_a_load_honours_is_refused(command, far: VllmServer) -> None:
    for options in (("--threads", "2"), ("--backend", "ik"), ("--draft", "smollm2"), ("--context", "512")):
        outcome = command("run", "-m", "far/", *options, "hi")
        assert outcome.code == 2 and f"{options[0]} cannot apply to far/" in outcome.err
    assert "bench measures this machine" in command("bench", "-m", "far/").err
    for words in (("pull", "far/x"), ("show", "far/x"), ("rm", "far/x"), ("fit", "far/x")):
        outcome = command(*words)
        assert outcome.code == 1 and "of which there are no files here" in outcome.err
    assert not far.bodies


def test_models_lists_them_and_says_who_is_silent(command, far: VllmServer) -> None:
    outcome = command("models")
    (row,) = [line for line in outcome.out.splitlines() if "far/" in line]
    assert row.startswith(f"far/{NAME}") and row.endswith("on the upstream far")
    assert "Cannot reach the upstream gone" in outcome.out.splitlines()[-1]
    (row,) = [each for each in json.loads(command("models", "--json").out) if each["origin"] == "upstream"]
    assert (row["name"], row["upstream"], row["answers"], row["downloaded"]) == (f"far/{NAME}", "far", True, False)
    assert "far/" not in command("models", "--here").out


def test_doctor_tells_which_answer(command, far: VllmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "backends", lambda machine, kept: (USED,))
    outcome = command("doctor")
    assert "answers within" in outcome.out and "key from the environment variable FAR_KEY" in " ".join(
        outcome.out.split()
    )
    assert f"edgellm chat -m far/{NAME}" in outcome.out
    monkeypatch.setenv("FAR_KEY", "sk-wrong")
    found = {each["name"]: each for each in json.loads(command("doctor", "--json").out)["upstreams"]}
    assert "Correct the key in the environment variable FAR_KEY" in found["far"]["problem"]
    assert not found["gone"]["answers"]


def test_errors_in_words_and_never_a_key(command, far: VllmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot reach the upstream gone" in command("run", "-m", "gone/x", "hi").err
    far.refuse = (401, '{"error": {"message": "bad key sk-good"}}', {})
    outcome = command("run", "-m", "far/", "--log-level", "debug", "hi")
    assert outcome.code == 2 and "Correct the key" in outcome.err and "sk-good" not in outcome.err
    monkeypatch.setenv("FAR_KEY", "sk-good\nwith a line")
    outcome = command("run", "-m", "far/", "hi")
    assert outcome.code == 2 and "characters that no key has" in outcome.err and "with a line" not in outcome.err


def test_an_alias_that_leads_there(command, far: VllmServer) -> None:
    assert "big  far/ (moved)" in command("alias", "big", "far/").out
    assert command("run", "-m", "big", "hi").out.startswith("Hello there")
