"""What to run next follows from what is there."""

import json

import msgspec
import pytest

from edgellm.cli.diagnosis import Diagnosis, LocalModel
from edgellm.runtime.installed import Backend
from tests.machine.test_machine import PLAIN

USED = Backend(name="llama.cpp", package="llama-cpp-python", state="used", version="1", reason="runs GGUF models")
FETCH = 'edgellm run "Why is the sky blue?"'
BROKEN = Backend(name="llama.cpp", package="llama-cpp-python", state="broken", reason="x", advice="pip install again")
MISSING = Backend(name="MLX", package="mlx-lm", state="missing", reason="x", advice="pip install mlx-lm")


def diagnosis(*backends: Backend, models: tuple[str, ...] = (), default: str = "small", **values: object) -> Diagnosis:
    here = tuple(LocalModel(name=name, quantization="Q4_K_M", bytes=5, path=f"/m/{name}.gguf") for name in models)
    return Diagnosis(
        machine=PLAIN,
        threads=8,
        saving=False,
        backends=backends or (USED,),
        models=here,
        models_dir="/m",
        default=default,
    )


@pytest.mark.parametrize(
    ("found", "commands"),
    [
        (diagnosis(), [FETCH]),
        (diagnosis(models=("small",)), ["edgellm chat", "edgellm serve"]),
        (diagnosis(models=("other",)), ["edgellm chat -m other", FETCH]),
        (diagnosis(default=""), []),
        (diagnosis(USED, MISSING, models=("small",)), ["edgellm chat", "edgellm serve", "pip install mlx-lm"]),
        (diagnosis(BROKEN, models=("small",)), ["pip install again"]),
    ],
)
def test_next(found: Diagnosis, commands: list[str]) -> None:
    assert [step.command for step in found.next] == commands


@pytest.mark.parametrize(
    ("other", "commands"),
    [
        ({"path": "/blobs/sha256-1"}, ["edgellm chat -m /blobs/sha256-1", FETCH]),
        ({"path": "/my models/m.gguf"}, ["edgellm chat -m '/my models/m.gguf'", FETCH]),
        ({"path": "/mlx", "format": "mlx"}, [FETCH]),
    ],
)
def test_models_of_other_programs_are_named_by_their_path(other: dict[str, str], commands: list[str]) -> None:
    model = LocalModel(name="small", bytes=5, origin="ollama", **other)
    found = msgspec.structs.replace(diagnosis(), models=(model,))
    assert [step.command for step in found.next] == commands


def test_json_spells_out_what_is_computed() -> None:
    found = json.loads(json.dumps(diagnosis(models=("small",)).as_json()))
    assert found["machine"]["usable_memory"] == PLAIN.usable_memory
    assert found["machine"]["id"] == PLAIN.id
    assert found["works"] is True
    assert found["next"][0] == {"command": "edgellm chat", "purpose": "talk to small"}


def test_without_a_backend_nothing_works() -> None:
    assert not diagnosis(BROKEN, MISSING).works
