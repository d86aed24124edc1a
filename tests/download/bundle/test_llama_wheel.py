"""The portable llama.cpp: what it is built with, that it is built once, and what remains when it cannot be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edgellm.download.bundle import llama_wheel, pip_process, portable_build
from edgellm.download.bundle.portable_build import PortableBuild
from edgellm.errors import DownloadError

MACHINES = [("Linux", "x86_64"), ("Linux", "aarch64"), ("Windows", "AMD64"), ("Darwin", "arm64"), ("Darwin", "x86_64")]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    return tmp_path


class Pip:
    """Stands in for a build: leaves a wheel with these libraries, or fails."""

    def __init__(self, libraries: tuple[str, ...], said: str = "") -> None:
        self.libraries = libraries
        self.said = said
        self.calls: list[list[str]] = []
        self.environ: dict[str, str] = {}

    def __call__(self, words, *, line, environ, tick=None):
        self.calls.append(words)
        self.environ = dict(environ)
        line("[1/2] one")
        line("[2/2] two")
        if self.said:
            return 1, self.said
        folder = Path(words[words.index("--wheel-dir") + 1])
        with zipfile.ZipFile(folder / "llama_cpp_python-1.0-py3-none-any.whl", "w") as archive:
            for name in self.libraries:
                archive.writestr(f"llama_cpp/lib/{name}", b"..GLIBC_2.17..GLIBC_2.34..GLIBC_2.4..")
        return 0, ""


@pytest.fixture
def build() -> PortableBuild:
    return portable_build.here("Linux", "x86_64")


@pytest.mark.parametrize(("system", "machine"), MACHINES)
def test_no_build_is_for_the_processor_it_is_made_on(system: str, machine: str) -> None:
    build = portable_build.here(system, machine)
    assert dict(build.definitions)["GGML_NATIVE"] == "OFF"
    assert build.baseline
    assert build.variants == ("GGML_CPU_ALL_VARIANTS" in dict(build.definitions))


def test_another_version_or_another_flag_is_another_wheel(build: PortableBuild) -> None:
    other = portable_build.here("Linux", "aarch64")
    assert len({build.key("1"), build.key("2"), other.key("1")}) == 3
    assert build.key("1") == portable_build.here("Linux", "x86_64").key("1")


def test_it_is_built_once_and_tells_its_steps(monkeypatch, build: PortableBuild) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=ON")
    monkeypatch.setenv("CFLAGS", "-march=native")
    pip = Pip(("libggml-cpu-haswell.so", "libllama.so"))
    monkeypatch.setattr(pip_process, "run", pip)
    told: list[tuple[int, int]] = []
    first = llama_wheel.wheel("1.0", build, lambda label, done, total: told.append((done, total)))
    assert llama_wheel.wheel("1.0", build) == first
    assert told == [(0, 0), (1, 2), (2, 2)]
    (words,) = pip.calls
    assert "cmake.define.GGML_NATIVE=OFF" in words
    assert "--no-cache-dir" in words
    assert not {"CMAKE_ARGS", "CFLAGS"} & pip.environ.keys()
    assert llama_wheel.needed_glibc(first) == "2.34"
    assert sorted(path.name for path in first.parent.iterdir() if path.is_dir()) == []


@pytest.mark.parametrize(
    ("pip", "words"),
    [
        (Pip((), "error: no compiler\nERROR: Failed building wheel"), r"Failed building wheel.*compiler.*build\.log"),
        (Pip(("libllama.so", "libggml-cpu.so")), "lacks its ggml-cpu-"),
    ],
)
def test_a_build_that_fails_leaves_only_its_log(monkeypatch, build: PortableBuild, pip: Pip, words: str) -> None:
    monkeypatch.setattr(pip_process, "run", pip)
    with pytest.raises(DownloadError, match=words):
        llama_wheel.wheel("1.0", build)
    left = sorted(path.name for path in llama_wheel.kept("1.0", build).iterdir())
    assert [name for name in left if name != ".lock"] == ["build.log"]


def test_ctrl_c_ends_what_pip_has_started(monkeypatch, tmp_path: Path) -> None:
    import sys

    import psutil

    alive = tmp_path / "alive"
    grandchild = f"import time; open({str(alive)!r}, 'w').write('x'); time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    monkeypatch.setattr(pip_process, "command", lambda words: [sys.executable, "-c", child])

    def interrupt() -> None:
        if alive.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pip_process.run(["wheel"], tick=interrupt)
    mine = psutil.Process().children(recursive=True)
    assert not [process for process in mine if str(alive) in " ".join(process.cmdline())]
