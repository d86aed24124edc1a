"""Fake `/proc` and `/sys` trees."""

from collections.abc import Mapping
from pathlib import Path


def plant(root: Path, files: Mapping[str, str]) -> Path:
    """`root`, with a file for each path below it."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
    return root


V2_MOUNT = "29 23 0:26 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "33 31 0:30 {shown} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def version_2(root: Path, path: str, groups: Mapping[str, Mapping[str, str]], shown: str = "/") -> Path:
    """A version 2 tree: this process's `path`, and by group the files in its folder."""
    plant(root, {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": V2_MOUNT.format(shown=shown)})
    for group, files in groups.items():
        plant(root / "sys/fs/cgroup" / group.lstrip("/"), files)
    return root


def version_1(root: Path, path: str, shown: str = "/") -> Path:
    """A version 1 tree without any group's files."""
    lines = f"9:name=systemd:/\n4:memory:{path}\n2:cpu,cpuacct:{path}\n"
    return plant(root, {"proc/self/cgroup": lines, "proc/self/mountinfo": V1_MOUNTS.format(shown=shown)})


def cpus(root: Path, siblings: Mapping[int, str], capacity: Mapping[int, int] | None = None) -> Path:
    """CPUs with the list of hardware threads that share a core with each, and what Arm says of their capacity."""
    folder = root / "sys/devices/system/cpu"
    for cpu, same in siblings.items():
        plant(folder / f"cpu{cpu}", {"topology/core_cpus_list": same + "\n"})
    for cpu, number in (capacity or {}).items():
        plant(folder / f"cpu{cpu}", {"cpu_capacity": f"{number}\n"})
    return plant(root, {"sys/devices/system/cpu/online": f"0-{max(siblings)}\n"})
