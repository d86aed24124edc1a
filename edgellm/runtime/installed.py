"""Which backends this environment has, what their builds can use, and why each is or is not used here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec

from edgellm.backends import ik, ik_wheel
from edgellm.backends.llamacpp.build import PACKAGE, Build
from edgellm.fit.backend_choice import install
from edgellm.machine.machine import Machine
from edgellm.machine.measurements import Key, Measurements
from edgellm.runtime.spawn import exit_words

State = Literal["used", "not used", "missing", "broken"]

KIND = "llamacpp_build"
PATIENCE_S = 60.0
"""For loading a native library, which may come from a slow disk."""

_OTHER_LIBRARIES = "LLAMA_CPP_LIB_PATH"
"""Names a folder that the binding takes its libraries from instead."""

_ADVICE = "pip install --force-reinstall --no-cache-dir --no-binary {package} {package}=={version}"
_GPU_FLAGS = {"cuda": "GGML_CUDA", "rocm": "GGML_HIP", "vulkan": "GGML_VULKAN", "metal": "GGML_METAL"}
# The instruction sets worth a rebuild: how llama.cpp spells ours.
_WORTH = {
    "AVX2": "AVX2",
    "AVX-512": "AVX512",
    "AVX-512 VNNI": "AVX512_VNNI",
    "dotprod": "DOTPROD",
    "i8mm": "MATMUL_INT8",
}


_MODULES = {"llama.cpp": ("llama_cpp",), "MLX": ("mlx", "mlx_lm"), "ONNX Runtime": ("onnxruntime_genai",)}


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` says why it is or is not used; `advice` is a command that would make it better, if there is one."""

    name: str
    state: State
    package: str
    version: str = ""
    """Of the package; empty where it is not installed."""
    reason: str
    build: Build | None = None
    advice: str = ""


class _Failed(msgspec.Struct, frozen=True):
    reason: str


def backends(machine: Machine, kept: Measurements) -> tuple[Backend, ...]:
    """All that edgellm knows of. The first call after an installation loads native libraries, in a child process."""
    return (_llamacpp(machine, kept), _ik(machine), _mlx(machine), _onnx())


def names() -> frozenset[str]:
    """The backends whose packages are here, by their names in plans; nothing is loaded to find out."""
    return frozenset(name for name, modules in _MODULES.items() if all(map(_is_here, modules)))


def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def llamacpp_build(machine: Machine, kept: Measurements) -> Build | None:
    """What llama.cpp can use here; None where it cannot be loaded. Asked once after each installation."""
    found = _asked(machine, kept)
    return found if isinstance(found, Build) else None


def _llamacpp(machine: Machine, kept: Measurements) -> Backend:
    version = _version(PACKAGE)
    found = _asked(machine, kept)
    if isinstance(found, _Failed):
        state: State = "broken" if version else "missing"
        advice = _ADVICE.format(package=PACKAGE, version=version) if version else f"pip install {PACKAGE}"
        return Backend(
            name="llama.cpp", package=PACKAGE, state=state, version=version, reason=found.reason, advice=advice
        )
    reason, advice = _llamacpp_reason(machine, found, version)
    return Backend(
        name="llama.cpp", package=PACKAGE, state="used", version=version, reason=reason, build=found, advice=advice
    )


def _llamacpp_reason(machine: Machine, build: Build, version: str) -> tuple[str, str]:
    again = _ADVICE.format(package=PACKAGE, version=version)
    missing = [ours for ours, theirs in _WORTH.items() if ours in machine.simd and theirs not in build.simd]
    if machine.gpus and not build.offload:
        gpu = machine.gpus[0]
        reason = f"runs GGUF models, on the processor only: this build cannot use the {gpu.name}"
        return reason, f'CMAKE_ARGS="-D{_GPU_FLAGS[gpu.kind]}=on" {again}'
    where = f"on {', '.join(build.gpus) or 'the GPU'}" if build.offload else "on the processor"
    if missing:
        return f"runs GGUF models, {where}; built without {', '.join(missing)}, which this processor has", again
    return f"runs GGUF models, {where}", ""


def _ik(machine: Machine) -> Backend:
    from edgellm.config import ModelSettings
    from edgellm.runtime.native_choice import UNKNOWN_WHEEL, obstacle

    version = _version(ik.PACKAGE)
    found = Backend(name=ik.NAME, package=ik.PACKAGE, version=version, state="used", reason="")
    obstacle_here = obstacle(ModelSettings(), machine)
    if not obstacle_here and not ik_wheel.is_known():
        obstacle_here = UNKNOWN_WHEEL
    if not obstacle_here:
        reason = "runs GGUF models on the processor, those for which it was seen to be right and faster here"
        return msgspec.structs.replace(found, reason=reason)
    state: State = "not used" if version else "missing"
    advice = "" if version or machine.gpus or machine.arch not in ("x86_64", "AMD64") else "pip install 'edgellm[ik]'"
    return msgspec.structs.replace(found, state=state, reason=obstacle_here, advice=advice)


def _mlx(machine: Machine) -> Backend:
    how = "the fastest way on Apple Silicon" if machine.apple_silicon else "slowly without Apple Silicon"
    return _of_folders("MLX", "mlx-lm", f"runs models in the MLX format, {how}", wanted=machine.apple_silicon)


def _onnx() -> Backend:
    name = "ONNX Runtime"
    if name not in names():
        return _of_folders(name, "onnxruntime-genai", "", wanted=False)
    from edgellm.backends import onnx

    on = " or ".join(onnx.providers())
    return _of_folders(name, "onnxruntime-genai", f"runs models in the ONNX format, on {on}", wanted=False)


def _of_folders(name: str, package: str, reason: str, *, wanted: bool) -> Backend:
    """A backend for models that are folders; installing it is advised where it is `wanted`, else only told of."""
    if name in names():
        return Backend(name=name, package=package, state="used", version=_version(package), reason=reason)
    command = install(name)
    return Backend(
        name=name,
        package=package,
        state="missing" if wanted else "not used",
        reason=f"it is not installed ({command})",
        advice=command if wanted else "",
    )


def _version(package: str) -> str:
    """Empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _asked(machine: Machine, kept: Measurements) -> Build | _Failed:
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return _Failed(f"{PACKAGE} is not installed")
    folder = Path(os.environ.get(_OTHER_LIBRARIES) or Path(spec.origin).parent / "lib")
    version = f"{_version(PACKAGE)} {_changed(folder)} {os.environ.get(_OTHER_LIBRARIES, '')}".rstrip()
    key = Key(model=spec.origin, build=version, threads=0, machine=machine.id)  # a new GPU may be one it can use
    known = kept.read(KIND, key, Build)
    if known is not None:
        return known
    found = _ask_child()
    if isinstance(found, Build):
        kept.write(KIND, key, found)
    return found


def _changed(folder: Path) -> float:
    """When the newest of the libraries there was written: another build may have the same version."""
    libraries = [path for path in folder.glob("*") if path.is_file()]
    return max((path.stat().st_mtime for path in libraries), default=0.0)


def _ask_child() -> Build | _Failed:
    """In a process of its own: a library built for another processor ends it with a signal."""
    path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
    command = [sys.executable, "-P", "-X", "utf8", "-m", "edgellm.backends.llamacpp.build"]
    environment = os.environ | {"PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return _Failed(f"cannot be loaded: {error}")
    if done.returncode == 0:
        try:
            return msgspec.json.decode(done.stdout.splitlines()[-1], type=Build)
        except (IndexError, msgspec.MsgspecError):
            return _Failed("does not tell what it is")
    return _Failed(_failure(done.returncode, done.stderr.decode("utf-8", "replace")))


def _failure(code: int, errors: str) -> str:
    if "SIGILL" in (words := exit_words(code)) or code == 0xC000001D:
        return "is built for another processor: it ends with an illegal instruction here"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"cannot be loaded: {lines[-1] if lines else words}"
