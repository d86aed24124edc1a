"""The number of threads stays within what the machine, the affinity and a container allow."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edgellm.backends.llamacpp import threads


def test_the_default_is_at_least_one_and_at_most_every_core() -> None:
    assert 1 <= threads.default_threads() <= (psutil.cpu_count() or 1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((8, None, None, None), 8),
        ((8, 4, None, None), 4),
        ((8, 4, 2, None), 2),
        ((8, None, 16, 3), 3),
        ((1, None, 4, 0), 1),
    ],
)
def test_the_smallest_known_limit_counts(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int | None, ...], expected: int
) -> None:
    for name, value in zip(("_physical_cores", "_performance_cores", "_affinity", "_quota"), limits, strict=True):
        monkeypatch.setattr(threads, name, lambda value=value: value)
    assert threads.default_threads() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000", None), ("200000 100000", 2), ("150000 100000", 2), ("", None), ("x y", None)],
)
def test_a_container_quota_is_rounded_up(tmp_path: Path, content: str, expected: int | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert threads._quota(tmp_path) == expected


def test_an_older_container_quota(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert threads._quota(tmp_path) == 4
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert threads._quota(tmp_path) is None


@pytest.mark.parametrize(("text", "expected"), [("0-3,8", [0, 1, 2, 3, 8]), ("5", [5]), ("", []), ("junk", [])])
def test_lists_of_processors(text: str, expected: list[int]) -> None:
    assert threads._listed(text) == expected
