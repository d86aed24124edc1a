"""Memory as the system tells it, and the limits that bind."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edgellm.machine.memory import memory
from tests.machine.trees import version_2

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_the_computer_itself(tmp_path: Path) -> None:
    found = memory(tmp_path)
    assert found.total == psutil.virtual_memory().total
    assert 0 < found.available <= found.total


@LINUX
def test_the_limit_and_what_it_leaves_may_come_from_different_groups(tmp_path: Path) -> None:
    groups = {
        "/a/b": {"memory.max": "1000000", "memory.current": "100000"},
        "/a": {"memory.max": "2000000", "memory.current": "1990000"},
    }
    found = memory(version_2(tmp_path, "/a/b", groups))
    assert (found.limit, found.left) == (1_000_000, 10_000)


@LINUX
def test_a_limit_above_the_computers_memory_is_none(tmp_path: Path) -> None:
    huge = str(psutil.virtual_memory().total * 2)
    found = memory(version_2(tmp_path, "/a", {"/a": {"memory.max": huge, "memory.current": "5"}}))
    assert (found.limit, found.left) == (None, None)


@LINUX
def test_an_address_space_limit_counts(tmp_path: Path) -> None:
    code = (
        "import resource, pathlib\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from edgellm.machine.memory import memory\n"
        f"found = memory(pathlib.Path({str(tmp_path)!r}))\n"
        "print(found.limit, found.left)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    limit, left = map(int, done.stdout.split())
    assert limit == 2**30
    assert 0 < left < limit
