"""The diagnosis as text: everything said, nothing wider than the terminal but commands."""

import re

import msgspec
import pytest
import typer

from edgellm.backends.llamacpp.build import Build
from edgellm.cli.diagnosis import Diagnosis, LocalModel
from edgellm.cli.doctor_text import text
from edgellm.machine.machine import GIB, Gpu, Machine, Power
from edgellm.runtime.installed import Backend
from tests.cli.test_diagnosis import MISSING, USED, diagnosis
from tests.machine.test_machine import PLAIN

RTX = Gpu(
    name="NVIDIA GeForce RTX 4090 Laptop GPU with a long name",
    kind="cuda",
    total=24 * GIB,
    free=23 * GIB,
    driver="550.54.14",
    also=("vulkan",),
)


def on(machine: Machine, *backends: Backend, **values: object) -> Diagnosis:
    return msgspec.structs.replace(diagnosis(*backends), machine=machine, **values)


def changed(**values: object) -> Machine:
    return msgspec.structs.replace(PLAIN, **values)


def lines_of(found: Diagnosis, width: int = 80) -> dict[str, str]:
    """By label, where the label begins a line."""
    lines = text(found, width=width).splitlines()
    return {line[2:16].strip(): line[16:] for line in lines if line.startswith("  ") and line[2:16].strip()}


def test_a_plain_machine() -> None:
    shown = lines_of(on(PLAIN))
    assert shown["processor"] == "AMD EPYC"
    assert shown["cores"] == "8 physical, 16 hardware threads"
    assert shown["memory"] == "34.4 GB, 21.5 GB of it free"
    assert shown["memory speed"] == "unknown"
    assert shown["GPU"] == "none found"
    assert shown["power"] == "mains (no battery found)"
    assert "memory limit" not in shown
    assert "heat" not in shown


def test_a_machine_of_which_much_can_be_said() -> None:
    machine = changed(
        performance_cores=6,
        usable_cores=2,
        memory_limit=8 * GIB,
        limit_left=7 * GIB,
        bandwidth=5e10,
        gpus=(RTX,),
        power=Power(on_battery=True, percent=41.6),
        thermal="held back by heat, step 2 of 10",
    )
    shown = lines_of(on(machine, saving=True, threads=1), width=200)
    assert shown["cores"] == "8 physical, 6 of them fast, 16 hardware threads, 2 for this process"
    assert shown["threads"] == "1 for a model, half of them to save the battery"
    assert shown["memory limit"] == "8.6 GB for this process, 7.5 GB of it left"
    assert shown["memory speed"] == "50.0 GB/s read"
    assert shown["power"] == "battery, 42% charged"
    assert shown["heat"] == "held back by heat, step 2 of 10"
    whole = " ".join(text(on(machine), width=80).split())
    assert f"{RTX.name} (CUDA, Vulkan): 25.8 GB, 24.7 GB of it free; driver 550.54.14" in whole


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_only_commands_may_be_wider_than_the_terminal(width: int) -> None:
    build = Build(version="0.5.0", offload=False, simd=tuple(f"AVX512_{number}" for number in range(12)))
    backend = msgspec.structs.replace(USED, build=build, reason="runs " + "many words " * 20)
    found = on(changed(gpus=(RTX,)), backend, MISSING)
    commands = [step.command for step in found.next]
    wide = [line for line in text(found, width=width).splitlines() if len(line) > width]
    assert all(line.strip() in commands for line in wide)


def test_backends_tell_state_reason_and_build() -> None:
    backend = msgspec.structs.replace(USED, build=Build(version="0.5.0", offload=False, simd=("AVX2",)))
    shown = text(on(PLAIN, backend, MISSING), width=100)
    assert "  llama.cpp     used: runs GGUF models\n" in shown
    assert " llama-cpp-python 1, llama.cpp 0.5.0, built for AVX2\n" in shown
    assert "  MLX           missing: x\n" in shown


def test_models_and_what_to_run() -> None:
    shown = text(diagnosis(models=("small", "larger")), width=80).splitlines()
    assert "  small        5 B  Q4_K_M" in shown
    assert "  larger       5 B  Q4_K_M" in shown
    assert "  edgellm chat  # talk to small" in shown
    assert "  none yet" in text(diagnosis(), width=80)


def test_models_of_other_programs() -> None:
    long = "hf.co/some-organisation/a-model-with-a-very-long-name-GGUF:Q4_K_M"
    models = (
        LocalModel(name="qwen3:4b", bytes=2_500_000_000, path="/b", origin="ollama"),
        LocalModel(name=long, bytes=10**9, path="/c", origin="hub", format="mlx"),
    )
    shown = text(msgspec.structs.replace(diagnosis(), models=models), width=80)
    first, second = (line for line in shown.splitlines() if " of " in line and "B  " in line)
    assert first.split() == ["qwen3:4b", "2.5", "GB", "of", "Ollama"]
    assert second.endswith("1.0 GB  MLX  of the hub's cache")
    assert len(second) <= 80 and "Q4_K_M" in second


def test_colour_changes_no_text() -> None:
    found = on(changed(thermal="hot"), USED, MISSING)
    coloured = text(found, typer.style, width=80)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(found, width=80)


def test_models_tell_whether_they_fit() -> None:
    models = tuple(LocalModel(name=each, bytes=5, path="/b", verdict=each) for each in ("fits", "tight", "no"))
    found = msgspec.structs.replace(diagnosis(), models=models)
    lines = text(found, width=80).splitlines()
    assert [line.split()[-1] for line in lines if " 5 B " in line] == ["fits", "tight", "no"]
    assert not any(model.name == "no" and "-m no" in step.command for model in models for step in found.next)


def test_rpc_servers_and_what_is_wrong_with_them() -> None:
    server = Gpu(name="192.168.1.20:50052", kind="rpc", total=16 * GIB, free=16 * GIB)
    assert (
        lines_of(on(PLAIN, servers=(server,)))["RPC server"] == "192.168.1.20:50052: 17.2 GB, 12.9 GB of it for layers"
    )
    assert "nothing listens" in lines_of(on(PLAIN, servers_problem="nothing listens there"))["RPC servers"]
    built = Build(version="1", offload=True, rpc=True)
    assert "any processor, with RPC" in text(
        on(PLAIN, msgspec.structs.replace(USED, build=built, version="1")), width=100
    )
