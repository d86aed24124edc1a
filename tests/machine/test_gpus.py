"""The search for GPUs: probes replaced by small programs that print, hang, fail or crash."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgellm.machine import gpus
from edgellm.machine.gpus import Gpu, Memory, Search
from edgellm.machine.measurements import Measurements
from tests.machine.test_amd_sysfs import card
from tests.machine.trees import plant

GIB = 2**30
MEMORY = Memory(32 * GIB, 20 * GIB)
RTX = {"name": "RTX 4090", "device": "10de:2684", "uuid": "GPU-aa", "total": 24 * GIB, "free": 23 * GIB}
VULKAN_RTX = {"name": "NVIDIA RTX 4090", "device": "10de:2684", "total": 24 * GIB, "free": 22 * GIB}
INTEL = {"name": "Intel Iris Xe", "device": "8086:46a6", "total": 24 * GIB, "free": 22 * GIB, "unified": True}

Find = Callable[..., tuple[Gpu, ...]]


@pytest.fixture
def probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the probes are; each fails until it is written."""
    monkeypatch.setattr(gpus, "_HERE", tmp_path / "probes")
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "probes"


@pytest.fixture
def find(tmp_path: Path, probes: Path) -> Find:
    kept = Measurements(tmp_path / "kept")
    plant(tmp_path / "root", {"dev/nvidiactl": "", "dev/dri/renderD128": ""})

    def search(system: str = "Linux", seconds: float = 20.0, **sysctl: str) -> tuple[Gpu, ...]:
        return Search(kept, tmp_path / "root", system).found(time.monotonic() + seconds, MEMORY, sysctl)

    return search


def printing(probes: Path, kind: str, *found: dict[str, Any], before: str = "") -> None:
    plant(probes, {f"{kind}_probe.py": f"print({before!r})\nprint({json.dumps(found)!r})"})


def test_one_gpu_found_in_two_ways_is_one(probes: Path, find: Find) -> None:
    printing(probes, "cuda", RTX)
    printing(probes, "vulkan", VULKAN_RTX, INTEL, before="WARNING: a driver talks")
    first, second = find()
    assert (first.name, first.kind, first.also, first.free) == ("RTX 4090", "cuda", ("vulkan",), 23 * GIB)
    assert (second.name, second.kind) == ("Intel Iris Xe", "vulkan")


def test_two_cards_of_one_kind_stay_two(probes: Path, find: Find) -> None:
    printing(probes, "cuda", RTX, RTX)
    printing(probes, "vulkan", VULKAN_RTX, VULKAN_RTX)
    assert [gpu.also for gpu in find()] == [("vulkan",), ("vulkan",)]


def test_unified_memory_is_never_more_than_the_computers(probes: Path, find: Find) -> None:
    printing(probes, "cuda", {"name": "GB10", "total": 0, "free": 0, "unified": True})
    printing(probes, "vulkan", INTEL)
    board, integrated = find()
    assert (board.total, board.free) == (32 * GIB, 20 * GIB)
    assert (integrated.total, integrated.free) == (24 * GIB, 20 * GIB)


def test_amds_card_gets_its_name_from_vulkan(tmp_path: Path, probes: Path, find: Find) -> None:
    card(tmp_path / "root")
    printing(probes, "vulkan", {"name": "Radeon RX 7900 XTX", "device": "1002:744c", "total": 1, "free": 1})
    (found,) = find()
    assert (found.name, found.kind, found.total) == ("Radeon RX 7900 XTX", "rocm", 24 * GIB)


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit(1)", "print('[{')", "print('[{\"name\": 1}]')", "print()", "import os; os.abort()", "x ="],
)
def test_a_probe_that_fails_finds_nothing(probes: Path, find: Find, program: str) -> None:
    plant(probes, {"cuda_probe.py": program})
    printing(probes, "vulkan", INTEL)
    assert [gpu.name for gpu in find()] == ["Intel Iris Xe"]


def test_a_driver_that_sleeps_is_waited_for_once_and_then_remembered(
    probes: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing(probes, "vulkan")
    plant(probes, {"cuda_probe.py": f"import time; time.sleep(0.5)\nprint({json.dumps([RTX])!r})"})
    assert [gpu.name for gpu in find(seconds=0.0)] == ["RTX 4090"], "not heard before: waited for"
    plant(probes, {"cuda_probe.py": "import time; time.sleep(600)"})
    assert [gpu.name for gpu in find(seconds=0.2)] == ["RTX 4090"], "heard before: remembered"


def test_a_driver_that_hangs_from_the_first_day_is_waited_for_once(
    probes: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "FIRST_PATIENCE_S", 0.3)
    plant(probes, {f"{kind}_probe.py": "import time; time.sleep(600)" for kind in ("cuda", "vulkan")})
    assert find(seconds=0.0) == ()
    monkeypatch.setattr(gpus, "FIRST_PATIENCE_S", 600)
    assert find(seconds=0.0) == ()


def test_a_gpu_that_was_taken_out_is_gone(probes: Path, find: Find) -> None:
    printing(probes, "cuda", RTX)
    assert len(find()) == 1
    printing(probes, "cuda")
    assert find() == ()


def test_nvidia_smi_helps_out(probes: Path, find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "NVIDIA GeForce RTX 4090, GPU-0f3c, 24564, 23000, 550.54.14, 0x268410DE"
    tool = plant(tmp_path, {"tool.py": f"print({line!r})"}) / "tool.py"
    monkeypatch.setattr("shutil.which", lambda name: str(tool))
    monkeypatch.setattr(gpus, "Command", lambda *words: gpus.script(tool))
    (found,) = find()
    assert (found.name, found.kind, found.device) == ("NVIDIA GeForce RTX 4090", "cuda", "10de:2684")


@pytest.mark.parametrize(
    ("visible", "names"),
    [("", []), ("-1", []), ("1", ["B"]), ("1,0", ["B", "A"]), ("0,7,1", ["A"]), ("GPU-b", ["B"]), (" 0 ", ["A"])],
)
def test_hidden_gpus_are_not_there(
    probes: Path, find: Find, monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    printing(probes, "cuda", RTX | {"name": "A"}, RTX | {"name": "B", "uuid": "GPU-bb"})
    assert [gpu.name for gpu in find()] == names


def test_metal_tells_its_working_set(probes: Path, find: Find) -> None:
    printing(probes, "metal", {"name": "Apple M3 Pro", "total": 27 * GIB, "free": 27 * GIB, "unified": True})
    (found,) = find("Darwin")
    assert (found.kind, found.total, found.free, found.unified) == ("metal", 27 * GIB, 20 * GIB, True)


@pytest.mark.parametrize(("chosen", "limit"), [("0", 32 * GIB * 2 // 3), ("", 32 * GIB * 2 // 3), ("28672", 28 * GIB)])
def test_without_metals_answer_the_limit_is_the_one_set_or_assumed(
    probes: Path, find: Find, chosen: str, limit: int
) -> None:
    told = {"machdep.cpu.brand_string": "Apple M2", "iogpu.wired_limit_mb": chosen}
    (found,) = find("Darwin", **told)
    assert (found.name, found.total) == ("Apple M2", limit)


def test_an_intel_mac_without_metal_has_none(probes: Path, find: Find) -> None:
    assert find("Darwin", **{"machdep.cpu.brand_string": "Intel(R) Core(TM) i5"}) == ()


def test_without_drivers_no_probe_is_started(tmp_path: Path, probes: Path) -> None:
    probe = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch(); print('[]')"
    plant(probes, {f"{kind}_probe.py": probe for kind in ("cuda", "vulkan", "metal")})
    empty = Search(Measurements(tmp_path / "kept"), tmp_path / "nothing", "Linux")
    assert empty.found(time.monotonic() + 1, MEMORY, {}) == ()
    assert not list(probes.glob("*.ran"))
