"""`edgellm pull` killed without warning, again and again: it goes on where it was, and what comes is right."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.doubles.hub import CHUNK, HubDouble, Repository

SIZE = 6 << 20
WASTE = 24 * CHUNK
"""What may be in the sockets' buffers when the reader is killed."""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_pull_goes_on_where_it_was(tmp_path: Path, kills: int) -> None:
    data = os.urandom(SIZE)
    chosen = random.Random(kills)
    spots = sorted(chosen.sample(range(CHUNK, SIZE - 64 * CHUNK), kills))
    with HubDouble() as hub:
        hub.repositories["maker/Big-GGUF"] = Repository({"Big-Q4_K_M.gguf": data})
        hub.rate = 8e6
        for number, spot in enumerate(spots):
            process = _pull(hub, tmp_path)
            # Counted without what earlier kills have wasted, so that each really comes later in the file.
            while hub.served < spot + number * CHUNK and process.poll() is None:
                time.sleep(0.001)
            assert process.poll() is None, process.communicate()
            process.kill()
            process.communicate()
        hub.rate = 0
        last = _pull(hub, tmp_path)
        out, err = last.communicate(timeout=60)
        assert last.returncode == 0, err
        path = Path(out.strip().rpartition("ready: ")[2])
        assert path.read_bytes() == data
        assert SIZE <= hub.served <= SIZE + kills * WASTE
        begun_anew = [request for request in hub.asked("/lfs/") if "range" not in request.headers]
        assert len(begun_anew) <= 2, "the first kill may come before a byte has arrived"
    assert not list(tmp_path.rglob("*.incomplete"))


def _pull(hub: HubDouble, home: Path) -> subprocess.Popen[str]:
    dropped = {"HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"EDGELLM_HOME": str(home / "home"), "HF_HOME": str(home / "huggingface"), "HF_ENDPOINT": hub.url}
    return subprocess.Popen(
        [sys.executable, "-m", "edgellm.cli", "pull", "maker/Big-GGUF:Q4_K_M"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
