"""The command as a process: help is light, errors are one line, and a closed pipe or Ctrl-C end it quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgellm import __version__
from edgellm.cli.commands import app

# Runs the command with a model that streams numbers slowly and for long.
SLOW = """
import sys
from edgellm.cli import session
from edgellm.cli.main import main
from tests.doubles.scripted_model import ScriptedModel
pieces = [f"{number}\\n" for number in range(100_000)]
session.open_model = lambda settings, name, **_: ScriptedModel([pieces], delay_s=0.01)
sys.exit(main(sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"EDGELLM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}


def edgellm(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgellm.cli", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def slow(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    # A group of its own on Windows, where Ctrl-C would reach the tests too.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        env=environment,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        creationflags=flags,
    )


@pytest.mark.parametrize("name", ["run", "chat", "serve", "models", "pull"])
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("name", ["run", "chat", "serve"])
def test_every_command_that_takes_a_model_has_m(name: str) -> None:
    output = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
    assert "--model" in output
    assert "-m" in output


def test_help_loads_nothing_heavy(environment: dict[str, str]) -> None:
    script = "import sys; from edgellm.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = "llama_cpp numpy fastapi pydantic uvicorn asyncio msgspec structlog openai textual platformdirs"
    assert not set(heavy.split()) & loaded


def test_version(environment: dict[str, str]) -> None:
    done = edgellm(environment, "--version")
    assert (done.returncode, done.stdout) == (0, f"edgellm {__version__}\n")


def test_no_command_shows_the_help(environment: dict[str, str]) -> None:
    done = edgellm(environment)
    assert done.returncode == 2
    assert "Commands" in done.stdout + done.stderr
    assert "error" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["pull", "nonsense"], 1),
        (["pull", "smollm2", "--offline"], 1),
        (["runn"], 2),
        (["run", "--nonsense"], 2),
        (["serve", "--port", "99999999"], 2),
    ],
)
def test_errors_are_one_line_without_a_traceback(environment: dict[str, str], arguments: list[str], code: int) -> None:
    done = edgellm(environment, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(environment: dict[str, str]) -> None:
    done = edgellm(environment | {"EDGELLM_DEBUG": "1"}, "pull", "nonsense")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ModelNotFound" in done.stderr


def test_a_closed_pipe_ends_it_quietly(environment: dict[str, str]) -> None:
    with slow(environment, "run", "-") as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("hi\n")
        process.stdin.close()
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a console event cannot be sent to one process there")
def test_ctrl_c_ends_run_with_130(environment: dict[str, str]) -> None:
    with slow(environment, "run", "-") as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("hi\n")
        process.stdin.close()
        assert process.stdout.readline() == "0\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait(30) == 130


@pytest.mark.skipif(sys.platform == "win32", reason="a console event cannot be sent to one process there")
def test_ctrl_c_in_a_chat_stops_one_answer(environment: dict[str, str]) -> None:
    with slow(environment, "chat", "--plain") as process:
        assert process.stdin and process.stdout and process.stderr
        for _ in range(2):
            process.stdin.write("hi\n")
            process.stdin.flush()
            while process.stdout.readline() != "0\n":
                pass
            process.send_signal(signal.SIGINT)
            assert process.stderr.readline() == "(stopped)\n"
        process.stdin.close()
        assert process.wait(30) == 0
