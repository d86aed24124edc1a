"""Programs that are missing, fail, hang, or print what is no text."""

import sys
import time
from pathlib import Path

import psutil

from edgellm.machine.command import Command, script


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def python(code: str) -> Command:
    return Command(sys.executable, "-I", "-S", "-c", code)


def test_what_it_prints() -> None:
    assert python("print('yes')").output(soon()) == "yes\n"


def test_no_text_is_made_text() -> None:
    assert python("import os; os.write(1, bytes([255, 65]))").output(soon()) == "\ufffdA"


def test_a_missing_program_tells_nothing() -> None:
    assert Command("edgellm-has-no-such-program").output(soon()) is None
    assert Command("").output(soon()) is None


def test_a_failing_program_tells_nothing() -> None:
    assert python("print('half'); raise SystemExit(3)").output(soon()) is None


def test_a_hanging_program_is_killed() -> None:
    command = python("import time; time.sleep(600)")
    assert command._process is not None
    process = psutil.Process(command._process.pid)
    assert command.output(soon(0.05)) is None
    assert not process.is_running()


def test_programs_run_side_by_side(tmp_path: Path) -> None:
    """Each waits for a file that the other writes: one after the other they would hang."""
    code = "import pathlib, sys, time\nmine, other = map(pathlib.Path, sys.argv[1:])\nmine.touch()\n"
    code += "while not other.exists(): time.sleep(0.01)\nprint('both')"
    one, two = str(tmp_path / "1"), str(tmp_path / "2")
    words = (sys.executable, "-I", "-S", "-c", code)
    first, second = Command(*words, one, two), Command(*words, two, one)
    assert first.output(soon()) == second.output(soon()) == "both\n"


def test_a_script_runs_without_our_packages(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text("import sys\nprint('edgellm' in sys.modules, 'site' in sys.modules)")
    assert script(probe).output(soon()) == "False False\n"
