"""A bundle of this very edgellm is carried to a place without a network, installed there, and answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgellm import paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def _isolated() -> list[str]:
    """The beginning of a command that has no network; skips where there is none such."""
    unshare = shutil.which("unshare")
    for words in ([unshare, "--net"], [unshare, "--user", "--map-root-user", "--net"]) if unshare else ():
        if subprocess.run([*map(str, words), "true"], capture_output=True, check=False).returncode == 0:
            return list(map(str, words))
    pytest.skip("needs network namespaces (unshare --net)")


def test_a_bundle_answers_where_there_is_no_network(tmp_path: Path) -> None:
    isolated = _isolated()
    environ = os.environ | {"EDGELLM_HOME": str(tmp_path / "here")}
    # The llama.cpp that was built for an earlier bundle serves again.
    kept = tmp_path / "here" / "cache" / "wheels"
    kept.parent.mkdir(parents=True)
    kept.symlink_to(paths.cache_dir() / "wheels")
    (paths.cache_dir() / "wheels").mkdir(exist_ok=True)
    create = [sys.executable, "-m", "edgellm.cli", "bundle", "create", "--models", "default", str(tmp_path / "b.tar")]
    made = subprocess.run(create, env=environ, capture_output=True, text=True, check=False)
    if "could not fetch" in made.stderr or "could not be built from" in made.stderr:
        pytest.skip(f"needs the package index: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    shutil.unpack_archive(tmp_path / "b.tar", tmp_path, filter="data")

    far = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "far")}
    (tmp_path / "far").mkdir()

    def there(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*isolated, *words], env=far | more, capture_output=True, text=True, check=False)

    reached = there(sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80), 2)")
    assert "unreachable" in reached.stderr, "this is no place without a network"
    place = tmp_path / "place"
    installed = there(sys._base_executable, str(tmp_path / "b" / "install.py"), "--to", str(place))  # type: ignore[attr-defined]
    assert installed.returncode == 0, installed.stderr
    ask = [str(place / "edgellm"), "run", "-m", "default", "--max-tokens", "16", "--temperature", "0", "Say hello."]
    for more in ({}, {"EDGELLM_OFFLINE": "1"}):
        answered = there(*ask, **more)
        assert answered.returncode == 0, answered.stderr
        assert len(answered.stdout.split()) >= 1
