"""Makes `.venv` and installs edgellm with its tools into it; costs nothing when that is done already.

Runs on any Python from 3.11 on, needs nothing installed, and prints only when there is something to do:

    python scripts/setup.py
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BACKENDS = "mlx,onnx"
HAS_BACKENDS = sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether the test suite is run on the backends of folders; on Apple Silicon MLX is there anyway."""
STAMP = VENV / "edgellm-setup.stamp"


def main() -> int:
    if sys.version_info < OLDEST:
        return _fail(f"edgellm needs Python 3.11 or later, and this is {sys.version.split()[0]}. Install a newer one.")
    if _ready():
        return 0
    with _locked(ROOT / ".venv.lock"):
        return 0 if _ready() else _set_up()


def _ready() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == _wanted()


def _wanted() -> str:
    """What the stamp must say: any change of dependencies, interpreter or place asks for a new installation."""
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{project}\n{_interpreter()}\n{ROOT}\n"


def _interpreter() -> str:
    """The version of the Python in `.venv`, as the file that made it says: no process need start for it."""
    with contextlib.suppress(OSError):
        for line in (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "version":
                return value.strip()
    return ""


def _set_up() -> int:
    # Without the stamp first: an installation that breaks off must not look like a finished one.
    moved = STAMP.exists() and str(ROOT) not in STAMP.read_text(encoding="utf-8").splitlines()
    STAMP.unlink(missing_ok=True)
    if (moved or not _sound()) and not _made():
        return 1
    _say("installing edgellm and its tools into .venv (llama.cpp is compiled the first time: some minutes)")
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-e", f"{ROOT}[dev]"]
    if subprocess.run(command, check=False).returncode != 0:
        return _fail("installing failed; pip's own words are above. llama.cpp needs a C and C++ compiler.")
    # Their wheels are for younger systems than edgellm itself: a system that cannot have them goes without.
    further = [*command[:-1], f"{ROOT}[{BACKENDS}]"] if HAS_BACKENDS else []
    if further and subprocess.run(further, check=False).returncode != 0:
        _say("MLX and ONNX Runtime GenAI cannot be had here, so their tests will be left out; all else works")
    # os.replace: the stamp is there whole or not at all.
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(_wanted(), encoding="utf-8")
    fresh.replace(STAMP)
    _say("ready")
    return 0


def _sound() -> bool:
    """Whether `.venv` has a Python that starts, is new enough, and has pip."""
    if not PYTHON.exists():
        return False
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([str(PYTHON), "-c", probe], capture_output=True, check=False).returncode == 0


def _made() -> bool:
    """Make `.venv` anew. A Python that lives in it cannot replace it, so that one's base does."""
    base = getattr(sys, "_base_executable", sys.executable)
    _say(f"making .venv with Python {sys.version.split()[0]}")
    if subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=False).returncode != 0:
        _say("making .venv failed. On Debian and Ubuntu, `apt install python3-venv` may be what is missing.")
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time, also when two scripts start together; the system frees the lock of a process that dies."""
    with path.open("w") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(words: str) -> None:
    print(f"setup: {words}", file=sys.stderr, flush=True)


def _fail(words: str) -> int:
    _say(words)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("interrupted; run it again to go on")
        sys.exit(130)
