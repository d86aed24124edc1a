"""The script that fetches test models and the module that finds them agree on where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgellm.catalog import catalog
from tests import models

ROOT = Path(__file__).parents[2]


def script(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "test_models.py"), *arguments],
        env=os.environ | {"EDGELLM_TEST_MODELS": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_path_is_where_tests_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELLM_TEST_MODELS", str(tmp_path))
    printed = Path(script(tmp_path, "--path", "smollm2").stdout.strip())
    with pytest.raises(pytest.skip.Exception, match=r"python scripts/test_models\.py smollm2"):
        models.path("smollm2")
    printed.parent.mkdir(parents=True)
    with printed.open("wb") as file:
        file.truncate(catalog.load(ROOT / "tests" / "models.toml").entries["smollm2"].bytes)
    assert models.path("smollm2") == printed


@pytest.mark.parametrize(("arguments", "problem"), [(["nonsense"], "unknown: nonsense"), ([], "name the models")])
def test_a_wrong_command_line_is_told(tmp_path: Path, arguments: list[str], problem: str) -> None:
    done = script(tmp_path, *arguments)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "qwen-1.5b" in done.stderr
