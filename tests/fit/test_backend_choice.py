"""Which backend runs a model, by its formats, the machine, what is installed and what somebody wants."""

from __future__ import annotations

import pytest

from edgellm.catalog.sources import Format
from edgellm.config import ModelSettings
from edgellm.fit.backend_choice import ALL, choose
from edgellm.fit.memory import kv_bytes
from edgellm.fit.placement import Placement
from edgellm.fit.plan import Planner
from edgellm.fit.speed import predict
from edgellm.machine.measurements import DecodeSpeed, Key
from tests.fit import examples

LLAMA, MLX, ONNX = "llama.cpp", "MLX", "ONNX Runtime"


@pytest.mark.parametrize(
    ("formats", "apple", "backend"),
    [
        (("gguf", "mlx"), True, MLX),
        (("gguf", "mlx"), False, LLAMA),
        (("gguf", "onnx"), True, LLAMA),
        (("onnx",), False, ONNX),
        (("mlx", "onnx"), False, ONNX),
        (("mlx",), False, MLX),
    ],
)
def test_the_machine_decides_among_the_formats(formats: tuple[Format, ...], apple: bool, backend: str) -> None:
    found = choose(formats, apple)
    assert (found.backend, found.usable) == (backend, True)
    assert found.reason.startswith(backend)


@pytest.mark.parametrize("wanted", ["gguf", "mlx", "onnx"])
def test_what_is_wanted_is_taken(wanted: Format) -> None:
    for apple in (True, False):
        found = choose(("gguf", "mlx", "onnx"), apple, wanted)
        assert (found.format, found.usable, found.reason) == (wanted, True, f"{found.backend} was asked for")


def test_what_is_wanted_and_not_to_be_had_says_what_is() -> None:
    found = choose(("gguf", "onnx"), True, "mlx")
    assert not found.usable
    assert found.reason == "MLX was asked for, and this model comes for llama.cpp and ONNX Runtime"


def test_what_is_not_installed_is_passed_over_with_a_word() -> None:
    found = choose(("gguf", "mlx"), True, installed={LLAMA})
    assert (found.backend, found.usable) == (LLAMA, True)
    assert found.reason.endswith("MLX is not installed (pip install 'edgellm[mlx]')")


@pytest.mark.parametrize(("format", "extra"), [("mlx", "edgellm[mlx]"), ("onnx", "edgellm[onnx]")])
def test_what_nothing_here_runs_says_what_to_install(format: Format, extra: str) -> None:
    for wanted in (format, None):
        found = choose((format,), False, wanted, installed={LLAMA})
        assert not found.usable
        assert found.reason.endswith(f"is not installed: pip install '{extra}'")


def test_a_plan_takes_the_backend_of_its_format() -> None:
    facts = examples.model(format="onnx")
    machine = examples.machine(64)
    assert Planner(machine, ModelSettings()).plan(facts).backend.backend == ONNX
    without = Planner(machine, ModelSettings(), installed=ALL - {ONNX}).plan(facts)
    assert not without.backend.usable
    assert not Planner(machine, ModelSettings(backend="llama.cpp")).plan(facts).backend.usable


def test_where_each_sequence_has_a_context_of_its_own_memory_decides_how_many() -> None:
    facts = examples.model(format="onnx")
    roomy, small = (Planner(examples.machine(memory), ModelSettings()).plan(facts) for memory in (4096, 40))
    assert roomy.placement.slots == 16 > small.placement.slots >= 1
    assert roomy.memory.kv == 16 * kv_bytes(facts, Placement(context=roomy.context), facts.layers)
    assert "a context of its own" in " ".join(small.reasons)


def test_a_backend_is_not_judged_by_what_another_did() -> None:
    machine, facts = examples.machine(64), examples.model(format="onnx")
    placement = Planner(machine, ModelSettings()).plan(facts).placement
    seen = DecodeSpeed(bytes_per_token=1e9, ms_per_token=1.0, context=10, tokens=100, measured_at=1.0)

    def basis(build: str) -> str:
        known = [(Key("m", build, machine.threads, machine.id), seen)]
        return predict(facts, placement, machine, known).basis

    assert basis("llama-cpp-python 0.3.36; f16") == basis("mlx 1; mlx-lm 1; f16") == "estimated"
    assert basis("onnxruntime-genai 1; CPU; f16") == "corrected"
