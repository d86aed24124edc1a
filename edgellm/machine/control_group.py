"""The Linux control groups (versions 1 and 2) that this process belongs to, from its own up to the root."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

import msgspec

from edgellm.machine import files

_ROOT = Path("/")


class MemoryLimit(msgspec.Struct, frozen=True):
    """Bytes that a group may take, and what it has left; the page cache counts as left, because it can be dropped."""

    limit: int
    left: int


def memory_limits(root: Path = _ROOT) -> list[MemoryLimit]:
    """The limit of every group that has one; a group's own and its ancestors' all bind."""
    found = [_memory_v2(folder) for folder in _folders("", root)]
    found += [_memory_v1(folder) for folder in _folders("memory", root)]
    return [limit for limit in found if limit is not None]


def cpu_quota(root: Path = _ROOT) -> int | None:
    """The tightest limit on CPU time, in whole cores, rounded up; None where there is none."""
    quotas = [_quota(*_pair(files.text(folder / "cpu.max"))) for folder in _folders("", root)]
    quotas += [
        _quota(files.text(folder / "cpu.cfs_quota_us"), files.text(folder / "cpu.cfs_period_us"))
        for folder in _folders("cpu", root)
    ]
    return min((quota for quota in quotas if quota), default=None)


def _memory_v2(folder: Path) -> MemoryLimit | None:
    # Past `memory.high` a group is slowed down until it gives memory back: no place for a model either.
    limits = [files.whole(folder / "memory.max"), files.whole(folder / "memory.high")]
    stat = files.fields(folder / "memory.stat")
    cached = stat.get("inactive_file", 0) + stat.get("active_file", 0)
    return _left(min((limit for limit in limits if limit is not None), default=None), folder / "memory.current", cached)


def _memory_v1(folder: Path) -> MemoryLimit | None:
    stat = files.fields(folder / "memory.stat")
    cached = stat.get("total_inactive_file", 0) + stat.get("total_active_file", 0)
    return _left(files.whole(folder / "memory.limit_in_bytes"), folder / "memory.usage_in_bytes", cached)


def _left(limit: int | None, usage: Path, cached: int) -> MemoryLimit | None:
    if limit is None or limit >= 2**62:  # version 1 writes "none" as a huge number
        return None
    used = files.whole(usage) or 0
    return MemoryLimit(limit, max(0, limit - max(0, used - cached)))


def _pair(content: str) -> tuple[str, str]:
    quota, _, period = content.partition(" ")
    return quota, period


def _quota(quota: str, period: str) -> int | None:
    limit, every = files.whole(quota), files.whole(period)
    return ceil(limit / every) if limit and every else None


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The group's folder and its ancestors' up to the mount's top; an empty controller asks for version 2."""
    mount = _mount(controller, root)
    if mount is None:
        return
    top, shown = mount
    path = PurePosixPath(_own_path(controller, root))
    # A container sees only its own part of the tree: the mount begins at `shown`.
    inside = path.relative_to(shown) if path.is_relative_to(shown) else PurePosixPath(path.relative_to("/"))
    for part in (inside, *inside.parents):
        if ".." not in part.parts:
            yield top / part


def _own_path(controller: str, root: Path) -> str:
    for line in files.text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if path.startswith("/") and (controller in names.split(",") if controller else number == "0" and not names):
            return path
    return "/"


def _mount(controller: str, root: Path) -> tuple[Path, str] | None:
    """Where the hierarchy is mounted, and which of its folders shows there."""
    for line in files.text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3:
            continue
        wanted = kind[0] == "cgroup" and controller in kind[2].split(",") if controller else kind[0] == "cgroup2"
        if wanted and place[3].startswith("/") and place[4].startswith("/"):
            return root / place[4].lstrip("/"), place[3]
    return None
