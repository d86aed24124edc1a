"""The machine as a whole: found without raising, whatever the probes do, and known again by its id."""

import shutil
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import given, strategies as st

from edgellm.machine import bandwidth, cores, gpus, machine, memory, power, processor
from edgellm.machine.machine import GIB, Gpu, Machine, Power, detect
from edgellm.machine.measurements import Measurements
from tests.machine.trees import cpus, plant, version_2

PLAIN = Machine(
    system="Linux",
    arch="x86_64",
    processor="AMD EPYC",
    total_memory=32 * GIB,
    available_memory=20 * GIB,
    physical_cores=8,
    performance_cores=8,
    logical_cores=16,
)


def changed(**values: object) -> Machine:
    return msgspec.structs.replace(PLAIN, **values)


def test_this_computer(tmp_path: Path) -> None:
    found = detect(tmp_path, kept=Measurements(tmp_path / "kept"))
    assert found.total_memory == psutil.virtual_memory().total
    assert 0 < found.usable_memory <= found.available_memory <= found.total_memory
    assert 1 <= found.threads <= found.physical_cores <= found.logical_cores
    assert found.processor and found.arch
    assert found.free_disk > 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Machine) == found


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_small_container(tmp_path: Path) -> None:
    root = cpus(tmp_path / "root", {cpu: str(cpu) for cpu in range(64)})
    limits = {"memory.max": str(GIB), "memory.current": str(GIB // 2), "cpu.max": "100000 100000"}
    version_2(root, "/app", {"/app": limits})
    plant(root, {"proc/cpuinfo": "model name: Ampere Altra\nFeatures: asimd asimddp\n"})
    found = detect(tmp_path, kept=Measurements(tmp_path / "kept"), root=root)
    assert (found.memory_limit, found.limit_left, found.usable_memory) == (GIB, GIB // 2, GIB // 2)
    assert (found.physical_cores, found.usable_cores, found.threads) == (64, 1, 1)
    assert (found.processor, found.simd) == ("Ampere Altra", ("NEON", "dotprod"))


def test_nothing_raises_when_every_probe_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw this")

    for room, name in (
        (memory, "memory"),
        (cores, "cores"),
        (gpus, "Search"),
        (power, "power"),
        (power, "linux_thermal"),
        (processor, "name"),
        (processor, "simd"),
        (bandwidth, "known"),
        (shutil, "disk_usage"),
    ):
        monkeypatch.setattr(room, name, fail)
    found = detect(tmp_path, kept=Measurements(tmp_path))
    assert (found.total_memory, found.gpus, found.power, found.free_disk) == (0, (), None, 0)
    assert found.threads == 1
    assert found.processor


def test_a_cache_that_cannot_be_made_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path / "file"))
    assert detect().total_memory > 0


def test_what_was_measured_before_is_known(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    found = detect(tmp_path, kept=kept)
    assert found.bandwidth is None
    speed = bandwidth.measured(found, kept)
    assert detect(tmp_path, kept=kept).bandwidth == speed


@pytest.mark.parametrize(
    ("counts", "threads"),
    [
        ({}, 8),
        ({"performance_cores": 6}, 6),
        ({"usable_cores": 2}, 2),
        ({"physical_cores": 0, "performance_cores": 0}, 1),
    ],
)
def test_threads(counts: dict[str, int], threads: int) -> None:
    assert changed(**counts).threads == threads


def test_usable_memory_is_the_least() -> None:
    assert PLAIN.usable_memory == 20 * GIB
    assert changed(limit_left=GIB).usable_memory == GIB
    assert changed(limit_left=30 * GIB).usable_memory == 20 * GIB


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.booleans())
def test_the_id_stays_while_the_hardware_does(available: int, disk: int, on_battery: bool) -> None:
    now = changed(available_memory=available, free_disk=disk, power=Power(on_battery=on_battery), bandwidth=1.0)
    assert now.id == PLAIN.id


RTX = Gpu(name="RTX 4090", kind="cuda", total=24 * GIB, free=GIB)


@pytest.mark.parametrize(
    "values",
    [
        {"processor": "other"},
        {"total_memory": 64 * GIB},
        {"physical_cores": 4},
        {"performance_cores": 4},
        {"gpus": (RTX,)},
    ],
)
def test_other_hardware_has_another_id(values: dict[str, object]) -> None:
    assert changed(**values).id != PLAIN.id


def test_the_order_and_use_of_gpus_does_not_matter_for_the_id() -> None:
    other = msgspec.structs.replace(RTX, name="RTX 3060", total=12 * GIB)
    busy = msgspec.structs.replace(RTX, free=0)
    assert changed(gpus=(RTX, other)).id == changed(gpus=(other, busy)).id


def test_a_directory_that_is_not_there_yet_has_a_disk(tmp_path: Path) -> None:
    assert machine._existing(tmp_path / "not" / "yet") == tmp_path
