"""Fifty damaged copies of a model: each is refused with one of our errors or does no harm; none ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_model
from tests.backends.llamacpp import corruption

COPIES, TOGETHER = 50, 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, COPIES, TOGETHER))
def test_damaged_copies_never_end_the_process(tmp_path: Path, first: int) -> None:
    data = tiny_model.build(tmp_path, vocabulary=300).read_bytes()
    paths = [tmp_path / f"{seed}.gguf" for seed in range(first, first + TOGETHER)]
    for seed, path in enumerate(paths, first):
        path.write_bytes(corruption.damaged(data, seed))
    command = [sys.executable, "-m", "tests.backends.llamacpp.corruption", *map(str, paths)]
    root = Path(corruption.__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240, check=False)
    outcomes = done.stdout.split()
    # The first copy without an outcome is the one that ended the process.
    assert done.returncode == 0, f"copy {first + len(outcomes)}: exit status {done.returncode}\n{done.stderr}"
    assert len(outcomes) == TOGETHER
    assert outcomes.count(corruption.REFUSED) >= TOGETHER // 2
