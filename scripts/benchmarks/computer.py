"""What the numbers were measured on: processor, system and versions, without which they say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psutil


def describe() -> dict[str, str]:
    """One line of words for each fact."""
    from edgellm import __version__
    from edgellm.backends import llamacpp

    cores = f"{psutil.cpu_count(logical=False) or '?'} cores, {os.cpu_count()} threads"
    return {
        "processor": f"{_processor()} ({cores}), {psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "edgellm": __version__,
        "library": llamacpp.build_id(),
        "busy": _busy(),
    }


def version_of(program: Path) -> str:
    """What `program --version` says first."""
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60, check=False)
    words = (done.stdout + done.stderr).split("\n")
    return next((line.strip() for line in words if "version" in line), "unknown version")


def _processor() -> str:
    if platform.system() == "Linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def _busy() -> str:
    """How much else was going on when the run began: other work on the machine spoils every number."""
    return f"{psutil.cpu_percent(interval=1.0):.0f} % of the processor in use by others when this began"
