"""A bundle with packages is made and installed with the real pip; only what is in the packages is made up."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgellm.download.bundle import create as creation, installer, llama_wheel, own_wheel, portable_build, receive
from edgellm.download.bundle.create import Made, Order
from edgellm.errors import DownloadError
from tests.doubles import packages

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Stands in for edgellm in the new environment: its `bundle install` says what it was given.
FAKE = {
    "edgellm/__init__.py": "",
    "edgellm/backends/__init__.py": "",
    "edgellm/backends/llamacpp/__init__.py": "",
    "edgellm/backends/llamacpp/library.py": "import llama_cpp, needed\ndef build_id(): return 'fake'\n",
    "edgellm/cli/__init__.py": "",
    "edgellm/cli/__main__.py": "from edgellm.cli.main import main\nmain()\n",
    "edgellm/cli/main.py": "import os, sys\n"
    "def main(): print('fake', *sys.argv[1:], os.environ.get('EDGELLM_OFFLINE'))\n",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def index(index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has all that the made-up edgellm needs; llama.cpp was built for a bundle before."""
    own_wheel.pack(importlib.metadata.distribution("pip"), index)
    packages.wheel(index, "needed")
    packages.source(index, "llama-cpp-python", "0.0.1")
    for tool in ("cmake", "ninja"):
        packages.wheel(index, tool, "9.0")
    built = llama_wheel.kept("0.0.1", portable_build.here())
    built.mkdir(parents=True)
    packages.wheel(built, "llama_cpp_python", "0.0.1", files={"llama_cpp/__init__.py": ""})
    requires = ["pip", "needed", "llama-cpp-python==0.0.1", "for-windows; sys_platform == 'win32'"]

    def build(folder: Path) -> Path:
        return packages.wheel(
            folder, "edgellm", "7.0", requires=requires, files=FAKE, scripts="edgellm=edgellm.cli.main:main"
        )

    monkeypatch.setattr(own_wheel, "build", build)
    return index


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF" * 1000)
    return path


def make(out: Path, model: Path, platform: str = "") -> Made:
    return creation.create(Order(out=out, models=(str(model),), platform=platform, pythons=(PYTHON,)))


def run_installer(bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(bundle / "install.py"), *words], capture_output=True, text=True, check=False
    )


def test_a_bundle_installs_itself(tmp_path: Path, index: Path, model: Path, monkeypatch) -> None:
    made = make(tmp_path / "b", model)
    assert (made.manifest.edgellm, made.manifest.llama.kind, made.manifest.llama.version) == ("7.0", "wheel", "0.0.1")
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "b" / "wheels").iterdir())
    assert names == ["edgellm", "llama_cpp_python", "needed", "pip"]
    # Whatever this machine has configured must play no part: the index is gone.
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    place = tmp_path / "a place"
    ended = run_installer(tmp_path / "b", "--to", str(place))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"fake bundle install {tmp_path / 'b'} 1" in ended.stdout
    launcher = place / ("edgellm.cmd" if sys.platform == "win32" else "edgellm")
    assert f"{launcher} run -m small" in ended.stdout
    said = subprocess.run([str(launcher), "run", "a b"], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["fake", "run", "a", "b", "None"]
    again = run_installer(tmp_path / "b", "--to", str(place))
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path, index: Path, model: Path) -> None:
    make(tmp_path / "b", model)
    (needed,) = (tmp_path / "b").glob("wheels/needed-*.whl")
    place = tmp_path / "place"
    needed.write_bytes(needed.read_bytes() + b" ")
    ended = run_installer(tmp_path / "b", "--to", str(place))
    assert (ended.returncode, place.exists()) == (1, False)
    assert "needed-1.0-py3-none-any.whl has" in ended.stderr
    needed.unlink()
    _accept(tmp_path / "b")
    ended = run_installer(tmp_path / "b", "--to", str(place))
    assert (ended.returncode, place.exists()) == (1, False)
    assert "No matching distribution found for needed" in ended.stderr
    assert "Traceback" not in ended.stderr


def _accept(bundle: Path) -> None:
    """Make the manifest fit what is there, as whoever made a wrong bundle would have."""
    manifest = json.loads((bundle / installer.MANIFEST).read_text())
    manifest["files"] = {name: each for name, each in manifest["files"].items() if (bundle / name).exists()}
    (bundle / installer.MANIFEST).write_text(json.dumps(manifest))
    import hashlib

    digest = hashlib.sha256((bundle / installer.MANIFEST).read_bytes()).hexdigest()
    (bundle / installer.MANIFEST_SUM).write_text(digest)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"platform": "windows-arm64"}, "is for windows-arm64, and this machine is"),
        ({"pythons": ["3.99"]}, "is for Python 3.99"),
        ({"platform": ""}, "has models only"),
    ],
)
def test_a_bundle_for_another_machine_is_refused(changes: dict[str, object], words: str) -> None:
    manifest = {"platform": installer.platform_name(), "pythons": [PYTHON], "glibc": "2.17"}
    with pytest.raises(installer.Refused, match=words):
        installer.refuse_other_machines(manifest | changes)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_an_older_glibc_is_refused() -> None:
    manifest = {"platform": installer.platform_name(), "pythons": [PYTHON], "glibc": "2.99"}
    with pytest.raises(installer.Refused, match=r"needs glibc 2\.99 or later"):
        installer.refuse_other_machines(manifest)


def test_for_another_platform_the_source_is_carried(tmp_path: Path, index: Path, model: Path) -> None:
    packages.wheel(index, "for-windows", tag=f"cp{PYTHON.replace('.', '')}-none-win_arm64")
    made = make(tmp_path / "b.zip", model, "windows-arm64")
    assert made.manifest.llama.kind == "source"
    names = sorted(Path(name).name.split("-")[0] for name in made.manifest.files if name.startswith("wheels/"))
    assert names == ["cmake", "edgellm", "for_windows", "llama_cpp_python", "needed", "ninja", "pip"]
    with receive.reader.opened(made.path) as contents, contents.open("README.txt") as readme:
        assert b"a C and C++ compiler" in readme.read()


def test_a_package_that_cannot_be_had_makes_no_bundle(tmp_path: Path, index: Path, model: Path) -> None:
    with pytest.raises(DownloadError, match="no for-windows for windows-x86_64"):
        make(tmp_path / "b", model, "windows-x86_64")
    assert not (tmp_path / "b").exists()
    assert not list((tmp_path / "home" / "cache").glob("bundle-*"))


def test_the_installer_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(installer.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
