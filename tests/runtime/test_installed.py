"""Why each backend is or is not used, on machines and with builds of all kinds."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from edgellm.backends.llamacpp.build import Build
from edgellm.machine.machine import GIB, Gpu, Machine
from edgellm.machine.measurements import Measurements
from edgellm.runtime import installed
from edgellm.runtime.installed import Backend, backends, llamacpp_build
from tests.machine.test_machine import PLAIN

RTX = Gpu(name="RTX 4090", kind="cuda", total=24 * GIB, free=24 * GIB)
APPLE = msgspec.structs.replace(PLAIN, system="Darwin", arch="arm64")
CPU_BUILD = Build(version="0.5.0", offload=False, simd=("AVX", "AVX2"))


@pytest.fixture
def kept(tmp_path: Path) -> Measurements:
    return Measurements(tmp_path)


def machine(**values: object) -> Machine:
    return msgspec.structs.replace(PLAIN, **values)


def llamacpp(monkeypatch: pytest.MonkeyPatch, kept: Measurements, here: Machine, build: Build) -> Backend:
    monkeypatch.setattr(installed, "_ask_child", lambda: build)
    (found, *_) = backends(here, kept)
    return found


def test_this_environment(kept: Measurements) -> None:
    found = {backend.name: backend for backend in backends(PLAIN, kept)}
    assert (found["llama.cpp"].state, found["llama.cpp"].package) == ("used", "llama-cpp-python")
    assert found["llama.cpp"].build is not None
    assert all(backend.reason for backend in found.values())


@pytest.mark.parametrize("here", [PLAIN, APPLE])
def test_backends_of_folders(kept: Measurements, monkeypatch: pytest.MonkeyPatch, here: Machine) -> None:
    monkeypatch.setattr(installed, "names", lambda: frozenset({"llama.cpp", "MLX"}))
    _, _, mlx, onnx = backends(here, kept)
    assert (mlx.name, mlx.state) == ("MLX", "used")
    assert mlx.reason.endswith("slowly without Apple Silicon") == (here is PLAIN)
    assert (onnx.state, onnx.reason) == ("not used", "it is not installed (pip install 'edgellm[onnx]')")
    monkeypatch.setattr(installed, "names", lambda: frozenset({"llama.cpp"}))
    mlx = backends(here, kept)[2]
    assert (mlx.state, mlx.advice) == (("missing", "pip install 'edgellm[mlx]'") if here is APPLE else ("not used", ""))


def test_the_library_is_loaded_once_for_each_installation(kept: Measurements, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(installed, "_ask_child", lambda: asked.append(1) or CPU_BUILD)
    assert llamacpp_build(PLAIN, kept) == llamacpp_build(PLAIN, kept) == CPU_BUILD
    assert len(asked) == 1
    llamacpp_build(machine(gpus=(RTX,)), kept)
    assert len(asked) == 2, "another GPU may be one it can use"
    monkeypatch.setattr(installed, "_changed", lambda package: 12345.0)
    llamacpp_build(PLAIN, kept)
    assert len(asked) == 3, "installed anew"


def test_a_build_that_suits_the_machine(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    found = llamacpp(monkeypatch, kept, machine(simd=("AVX", "AVX2")), CPU_BUILD)
    assert (found.reason, found.advice) == ("runs GGUF models, on the processor", "")


def test_a_gpu_that_the_build_cannot_use(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    found = llamacpp(monkeypatch, kept, machine(gpus=(RTX,)), CPU_BUILD)
    assert found.reason.endswith("this build cannot use the RTX 4090")
    assert found.advice.startswith('CMAKE_ARGS="-DGGML_CUDA=on" pip install')
    assert found.advice.endswith(f"llama-cpp-python=={found.version}")


def test_a_gpu_that_the_build_uses(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    build = Build(version="1", offload=True, gpus=("RTX 4090",))
    found = llamacpp(monkeypatch, kept, machine(gpus=(RTX,)), build)
    assert (found.reason, found.advice) == ("runs GGUF models, on RTX 4090", "")


def test_instructions_that_the_build_leaves_out(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    here = machine(simd=("AVX", "AVX2", "AVX-512", "AVX-512 VNNI"))
    found = llamacpp(monkeypatch, kept, here, CPU_BUILD)
    assert "built without AVX-512, AVX-512 VNNI, which this processor has" in found.reason
    assert found.advice


@pytest.mark.parametrize(
    ("code", "errors", "reason"),
    [
        (-4, "", "is built for another processor: it ends with an illegal instruction here"),
        (0xC000001D, "", "is built for another processor: it ends with an illegal instruction here"),
        (-11, "", "cannot be loaded: killed by SIGSEGV"),
        (1, "Traceback\n  x\nOSError: libgomp.so.1: no such file\n\n", "libgomp.so.1: no such file"),
    ],
)
def test_a_library_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, kept: Measurements, code: int, errors: str, reason: str
) -> None:
    done = SimpleNamespace(returncode=code, stdout=b"", stderr=errors.encode())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    found = backends(PLAIN, kept)[0]
    assert found.state == "broken"
    assert found.reason.endswith(reason)
    assert "pip install --force-reinstall" in found.advice
    assert llamacpp_build(PLAIN, kept) is None


@pytest.mark.parametrize("printed", [b"", b"\n[]\n", b"\xff\xfe"])
def test_a_library_that_tells_nonsense(monkeypatch: pytest.MonkeyPatch, kept: Measurements, printed: bytes) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout=printed, stderr=b""))
    assert backends(PLAIN, kept)[0].reason == "does not tell what it is"


def test_a_library_that_hangs(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    def hang(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(subprocess, "run", hang)
    assert backends(PLAIN, kept)[0].state == "broken"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, kept: Measurements) -> None:
    monkeypatch.setattr(installed.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(installed, "_version", lambda package: "")
    found = backends(PLAIN, kept)[0]
    assert (found.state, found.advice) == ("missing", "pip install llama-cpp-python")
