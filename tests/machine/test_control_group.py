"""The limits of control groups, in fake trees of both versions, whole and damaged."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.machine.control_group import MemoryLimit, cpu_quota, memory_limits
from tests.machine.trees import plant, version_1, version_2

GIB = 2**30


def test_no_groups_limit_nothing(tmp_path: Path) -> None:
    assert memory_limits(tmp_path) == []
    assert cpu_quota(tmp_path) is None


def test_every_ancestor_binds_and_page_cache_counts_as_left(tmp_path: Path) -> None:
    groups = {
        "/user.slice/app": {
            "memory.max": "max\n",
            "memory.high": f"{3 * GIB}\n",
            "memory.current": f"{2 * GIB}\n",
            "memory.stat": f"anon 5\ninactive_file {GIB // 2}\nactive_file {GIB // 2}\n",
        },
        "/user.slice": {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": ""},
        "/": {"cgroup.procs": ""},
    }
    root = version_2(tmp_path, "/user.slice/app", groups)
    assert memory_limits(root) == [MemoryLimit(3 * GIB, 2 * GIB), MemoryLimit(4 * GIB, GIB)]


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_a_container_sees_its_own_group_at_the_top_of_the_mount(tmp_path: Path, path: str) -> None:
    root = version_2(tmp_path, path, {"/": {"memory.max": "1000", "memory.current": "400"}}, shown=path)
    assert memory_limits(root) == [MemoryLimit(1000, 600)]


def test_a_path_from_outside_the_container_falls_back_to_the_top(tmp_path: Path) -> None:
    root = version_2(tmp_path, "/../../other", {"/": {"memory.max": "1000", "memory.current": "1400"}})
    assert memory_limits(root) == [MemoryLimit(1000, 0)]


def test_version_1_and_its_huge_number_for_none(tmp_path: Path) -> None:
    root = version_1(tmp_path, "/jobs/one")
    memory = root / "sys/fs/cgroup/memory"
    plant(memory / "jobs", {"memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": "5"})
    inner = {
        "memory.limit_in_bytes": str(2 * GIB),
        "memory.usage_in_bytes": str(GIB),
        "memory.stat": f"total_inactive_file {GIB // 4}\n",
    }
    plant(memory / "jobs/one", inner)
    assert memory_limits(root) == [MemoryLimit(2 * GIB, GIB + GIB // 4)]


@pytest.mark.parametrize(
    ("written", "cores"), [("max 100000", None), ("150000 100000", 2), ("50000 100000", 1), ("400000 100000", 4)]
)
def test_the_quota_of_version_2(tmp_path: Path, written: str, cores: int | None) -> None:
    assert cpu_quota(version_2(tmp_path, "/app", {"/app": {"cpu.max": written}})) == cores


def test_the_tightest_quota_counts(tmp_path: Path) -> None:
    groups = {"/a/b": {"cpu.max": "800000 100000"}, "/a": {"cpu.max": "200000 100000"}}
    assert cpu_quota(version_2(tmp_path, "/a/b", groups)) == 2


@pytest.mark.parametrize(("quota", "cores"), [("-1", None), ("300000", 3)])
def test_the_quota_of_version_1(tmp_path: Path, quota: str, cores: int | None) -> None:
    root = version_1(tmp_path, "/app")
    plant(root / "sys/fs/cgroup/cpu,cpuacct/app", {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"})
    assert cpu_quota(root) == cores


@settings(max_examples=50, deadline=None)
@given(content=st.text(max_size=40))
def test_damaged_files_limit_nothing_wrongly(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    groups = {"/app": {"memory.max": content, "memory.current": content, "memory.stat": content, "cpu.max": content}}
    root = version_2(tmp_path_factory.mktemp("tree"), "/app", groups)
    for found in memory_limits(root):
        assert 0 <= found.left <= found.limit
    assert cpu_quota(root) is None or cpu_quota(root) > 0  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(groups=st.text(max_size=60), mounts=st.text(max_size=60))
def test_damaged_tables_of_groups_and_mounts(
    tmp_path_factory: pytest.TempPathFactory, groups: str, mounts: str
) -> None:
    tree = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts + " - cgroup2 x y"}
    root = plant(tmp_path_factory.mktemp("tree"), tree)
    assert memory_limits(root) == []
    assert cpu_quota(root) is None
