"""How long `edgellm --help` takes as a whole process, against the smallest Typer app there is, and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.benchmarks.figures import ratios, spread
from scripts.benchmarks.serving import in_turn
from scripts.benchmarks.table import Row, quantity

NATIVE = ("llama_cpp", "mlx", "mlx_lm", "onnxruntime", "onnxruntime_genai", "numpy")
_BARE = '''
import typer

app = typer.Typer()


@app.command()
def greet(name: str) -> None:
    """Greet somebody."""
    print(name)


app()
'''


def measure(runs: int) -> tuple[list[Row], dict[str, Any]]:
    """`runs` of each, in turn, after one of each that does not count."""
    with tempfile.TemporaryDirectory(prefix="edgellm-bench-") as directory:
        bare = Path(directory) / "bare.py"
        bare.write_text(_BARE, encoding="utf-8")
        commands = {"edgellm": [*_edgellm(), "--help"], "bare": [sys.executable, str(bare), "--help"]}
        seconds = _timed_in_turn(commands, runs)
    found = _natives_of_help()
    return [_row(seconds), _native_row(found)], {"seconds": seconds, "native": found}


def imported(report: str) -> list[str]:
    """Names of all modules in what `python -X importtime` writes to its standard error."""
    lines = (line.removeprefix("import time:") for line in report.splitlines() if line.startswith("import time:"))
    return [name.strip() for line in lines if (name := line.rpartition("|")[2].strip()) != "imported package"]


def natives(modules: Iterable[str]) -> list[str]:
    """Those of NATIVE that are among the modules, or that one of them is a part of."""
    packages = {module.partition(".")[0] for module in modules}
    return [name for name in NATIVE if name in packages]


def _edgellm() -> list[str]:
    """The command as it is installed beside this Python; the module where it is not."""
    for name in ("edgellm", "edgellm.exe"):
        if (script := Path(sys.executable).with_name(name)).exists():
            return [str(script)]
    return [sys.executable, "-m", "edgellm.cli"]


def _timed_in_turn(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _run(command)
    for turn in range(runs):
        for name in in_turn(list(commands), turn):
            seconds[name].append(_run(commands[name]))
    return seconds


def _run(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True, timeout=120)
    return time.perf_counter() - begin


def _natives_of_help() -> list[str]:
    command = [sys.executable, "-X", "importtime", "-m", "edgellm.cli", "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=True, timeout=120)
    modules = imported(done.stderr)
    assert "typer" in modules, "the list of imports could not be read"
    return natives(modules)


def _row(seconds: dict[str, list[float]]) -> Row:
    ours, theirs = (spread([1000 * second for second in seconds[name]]) for name in ("edgellm", "bare"))
    ratio = spread(ratios(zip(seconds["edgellm"], seconds["bare"], strict=True)))
    return Row(
        name="edgellm --help (reference: a bare Typer app)",
        ours=quantity(ours and ours.median, "ms", 0),
        theirs=quantity(theirs and theirs.median, "ms", 0),
        ratio=ratio,
        target="<= 1.40x",
        met=ratio.median <= 1.4 if ratio else None,
    )


def _native_row(found: list[str]) -> Row:
    words = ", ".join(found) or "none"
    return Row(name="native libraries imported by edgellm --help", ours=words, target="none", met=not found)
