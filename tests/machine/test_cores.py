"""Cores as Linux, macOS and Windows tell them."""

import struct
from pathlib import Path

import psutil
import pytest
from hypothesis import given, strategies as st

from edgellm.machine import cores
from edgellm.machine.cores import Cores
from tests.machine.trees import cpus, plant, version_2

FOUR_WITH_THREADS = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}


def test_hardware_threads_share_a_core(tmp_path: Path) -> None:
    assert cores.linux(cpus(tmp_path, FOUR_WITH_THREADS), range(8)) == Cores(4, 4, 8, 4)


def test_affinity_counts_cores_not_threads(tmp_path: Path) -> None:
    root = cpus(tmp_path, FOUR_WITH_THREADS)
    assert cores.linux(root, [0, 4]).usable == 1
    assert cores.linux(root, [0, 5]).usable == 2


def test_intels_hybrids(tmp_path: Path) -> None:
    siblings = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3", **{cpu: str(cpu) for cpu in range(4, 12)}}
    root = plant(cpus(tmp_path, siblings), {"sys/devices/cpu_core/cpus": "0-3\n"})
    assert cores.linux(root, range(12)) == Cores(10, 2, 12, 2)
    assert cores.linux(root, range(4, 12)).usable == 8, "only slow cores are allowed"


def test_big_and_little_arm_cores(tmp_path: Path) -> None:
    capacity = dict(enumerate([414] * 4 + [1024] * 4))
    assert cores.linux(cpus(tmp_path, {cpu: str(cpu) for cpu in range(8)}, capacity), range(8)).performance == 4


def test_middle_arm_cores_count_as_fast(tmp_path: Path) -> None:
    capacity = dict(enumerate([280] * 3 + [700] * 4 + [1024]))
    assert cores.linux(cpus(tmp_path, {cpu: str(cpu) for cpu in range(8)}, capacity), range(8)).performance == 5


def test_a_quota_limits(tmp_path: Path) -> None:
    root = cpus(tmp_path, FOUR_WITH_THREADS)
    version_2(root, "/app", {"/app": {"cpu.max": "150000 100000"}})
    assert cores.linux(root, range(8)) == Cores(4, 4, 8, 2)


def test_cpus_that_are_off_do_not_count(tmp_path: Path) -> None:
    root = cpus(tmp_path, {cpu: str(cpu) for cpu in range(4)})
    plant(root, {"sys/devices/system/cpu/online": "0-1\n"})
    assert cores.linux(root, range(4)) == Cores(2, 2, 2, 2)


def test_without_sysfs_psutil_counts(tmp_path: Path) -> None:
    found = cores.linux(tmp_path)
    assert found.logical == psutil.cpu_count()
    assert 1 <= found.usable <= found.performance == found.physical


def test_apple_silicon() -> None:
    told = {"hw.physicalcpu": "12", "hw.logicalcpu": "12", "hw.perflevel0.physicalcpu": "8"}
    assert cores.mac(told) == Cores(12, 8, 12, 8)


def test_a_mac_that_tells_nothing() -> None:
    assert cores.mac({}).logical == psutil.cpu_count()


def record(relationship: int, efficiency: int, size: int = 48) -> bytes:
    return struct.pack("<IIBB", relationship, size, 1, efficiency).ljust(size, b"\0")


def test_windows_efficiency_classes() -> None:
    content = record(0, 1) + record(0, 1) + record(3, 7) + record(0, 0, size=64)
    assert cores.efficiency_classes(content) == [1, 1, 0]
    assert cores.windows([1, 1, 0]).performance == 2
    assert cores.windows([0, 0, 0, 0]).performance == 4


@given(st.binary(max_size=200))
def test_malformed_windows_records_end(content: bytes) -> None:
    assert len(cores.efficiency_classes(content)) <= 20


@pytest.mark.parametrize("written", ["", "x", "5-2", "0-99999999999"])
def test_malformed_lists_are_no_cores(tmp_path: Path, written: str) -> None:
    root = plant(cpus(tmp_path, {0: "0", 1: "1"}), {"sys/devices/cpu_core/cpus": written})
    assert cores.linux(root, [0, 1]).performance == 2
