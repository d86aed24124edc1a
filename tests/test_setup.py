"""Tests of `scripts/setup.py`, with pip and venv replaced by a record of what was asked of them."""

import importlib.util
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "setup.py"


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """The script as a module, for an empty project in `tmp_path`; `commands` says what it ran."""
    spec = importlib.util.spec_from_file_location("edgellm_setup", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    places = {"ROOT": tmp_path, "VENV": tmp_path / ".venv"}
    places |= {"PYTHON": places["VENV"] / "python", "STAMP": places["VENV"] / "stamp"}
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    module.commands = []
    module.failing = ""
    monkeypatch.setattr(module, "HAS_BACKENDS", True)

    def run(command, **_options):
        more = command[-1].endswith("[mlx,onnx]")
        kind = "more" if more else next(word for word in ("venv", "pip", "-c") if word in command)
        module.commands.append(kind)
        if kind == module.failing:
            return SimpleNamespace(returncode=1)
        if kind == "venv":
            module.VENV.mkdir(exist_ok=True)
            module.PYTHON.touch()
            (module.VENV / "pyvenv.cfg").write_text("home = /x\nversion = 3.12.1\n")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return module


def test_the_first_time_installs_and_the_second_does_nothing(setup) -> None:
    assert setup.main() == 0
    assert setup.commands == ["venv", "pip", "more"]
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == []


def test_an_installation_that_broke_off_is_done_again(setup) -> None:
    setup.failing = "pip"
    assert setup.main() == 1
    assert not setup.STAMP.exists()
    setup.failing = ""
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == ["-c", "pip", "more"]


def test_backends_that_cannot_be_had_here_are_done_without(setup, capsys) -> None:
    setup.failing = "more"
    assert setup.main() == 0
    assert "their tests will be left out" in capsys.readouterr().err
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == []


def test_an_interrupt_leaves_no_stamp(setup, monkeypatch) -> None:
    assert setup.main() == 0
    (setup.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")

    def interrupted(command, **_options):
        if "pip" in command:
            raise KeyboardInterrupt
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.main()
    assert not setup.STAMP.exists()


def test_new_dependencies_are_installed_into_what_is_there(setup) -> None:
    setup.main()
    (setup.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == ["-c", "pip", "more"]


def test_a_damaged_environment_is_made_again(setup) -> None:
    setup.main()
    setup.STAMP.unlink()
    setup.failing = "-c"
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == ["-c", "venv", "pip", "more"]


def test_a_project_that_moved_gets_a_new_environment(setup) -> None:
    setup.main()
    setup.STAMP.write_text(setup.STAMP.read_text().replace(str(setup.ROOT), "/elsewhere"))
    setup.commands.clear()
    assert setup.main() == 0
    assert setup.commands == ["venv", "pip", "more"]


def test_an_old_python_is_told_so(setup, monkeypatch, capsys) -> None:
    monkeypatch.setattr(setup, "OLDEST", (9, 0))
    assert setup.main() == 1
    assert setup.commands == []
    assert "needs Python" in capsys.readouterr().err


def test_without_venv_the_error_says_what_may_be_missing(setup, capsys) -> None:
    setup.failing = "venv"
    assert setup.main() == 1
    assert "python3-venv" in capsys.readouterr().err
