"""The memory limit: a process that oversteps gets a MemoryError, and lives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgellm.runtime import memory_limit

SCRIPT = """
from edgellm.runtime.memory_limit import limit_memory
before = bytearray(300 << 20)
assert limit_memory(200 << 20)
within = bytearray(50 << 20)
try:
    beyond = bytearray(400 << 20)
except MemoryError:
    print("refused")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what it should on Linux only")
def test_what_is_there_stays_and_growth_has_an_end() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_a_system_without_limits_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit.sys, "platform", "darwin")
    assert memory_limit.limit_memory(0) is False
