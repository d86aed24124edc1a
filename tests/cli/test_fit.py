"""`edgellm fit`: a table of 80 columns, JSON, the choice, and what it says where nothing fits."""

import json
from pathlib import Path

import msgspec
import pytest

from edgellm.cli import fit as command_module
from edgellm.cli.fit_text import WIDTH
from edgellm.machine import bandwidth, machine as machines
from edgellm.machine.machine import Gpu, Machine
from edgellm.runtime import rpc_servers
from tests import tiny_model
from tests.fit import examples


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Machine]:
    """The machine that is found, in a list, to be replaced."""
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGELLM_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = [examples.machine(16)]
    monkeypatch.setattr(machines, "detect", lambda *_, **__: found[0])
    monkeypatch.setattr(bandwidth, "measured", lambda *_: 50e9)
    return found


def test_all_models_in_one_table(machine: list[Machine], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_module.fit() == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[0].split() == ["MODEL", "FITS", "MEMORY", "TOKENS/S", "CONTEXT", "UP", "TO"]
    large = next(line for line in lines if "qwen2.5-coder-32b" in line)
    small = next(line for line in lines if " smollm2 " in line)
    assert small.startswith("* ") and " fits " in small
    assert not large.startswith("*") and " no " in large


def test_one_model_with_all_its_quantizations(machine: list[Machine], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_module.fit("qwen2.5-coder-7b") == 0
    text = capsys.readouterr().out
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert sum(line.startswith("* ") and " fits " in line for line in text.splitlines()) == 1
    assert "llama.cpp runs GGUF models" in text and "16.0 GB of memory free" in text


def test_a_file_is_read_exactly(machine: list[Machine], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_model.build(tmp_path)
    assert command_module.fit(str(path), as_json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["exact"] and row["here"] and row["chosen"] and row["verdict"] == "fits"
    memory = row["memory"]
    assert memory["total"] == sum(memory[part] for part in ("weights", "repacked", "kv", "state", "compute", "host"))
    assert row["trained_context"] == 2048 == row["placement"]["context"]


def test_nothing_fits(machine: list[Machine], capsys: pytest.CaptureFixture[str]) -> None:
    machine[0] = msgspec.structs.replace(machine[0], available_memory=2 * 10**9)
    assert command_module.fit("qwen2.5-coder-32b") == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "None fits" in text and "weights would fit" in text


def test_more_context_takes_more(machine: list[Machine], capsys: pytest.CaptureFixture[str]) -> None:
    totals = []
    for context in (2048, 32_768):
        command_module.fit("qwen3-8b", as_json=True, context=context)
        totals.append(json.loads(capsys.readouterr().out)["models"][0]["memory"]["total"])
    assert totals[0] < totals[1]


def test_an_alias_of_several_tells_which_it_stands_for(
    machine: list[Machine], capsys: pytest.CaptureFixture[str]
) -> None:
    command_module.fit("code", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["taken"] in {row["model"] for row in found["models"]} and found["reason"]
    command_module.fit("code")
    assert f"code is {found['taken']} here: " in capsys.readouterr().out


def test_servers_that_lend_their_memory(
    machine: list[Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lent = Gpu(name="127.0.0.1:50052", kind="rpc", total=16 * 10**9, free=8 * 10**9)
    monkeypatch.setattr(rpc_servers, "ask", lambda endpoints: rpc_servers.Lent((lent,)))
    assert command_module.fit(str(tiny_model.build(tmp_path)), rpc="127.0.0.1:50052") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "all layers are on 127.0.0.1:50052" in shown
    assert "RPC servers: 127.0.0.1:50052 with 7.5 GB to lend." in shown
