"""What another platform needs is found with the real pip and an index of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgellm.download.bundle.resolve import BUILD_TOOLS, Resolver
from edgellm.download.bundle.target import named
from edgellm.errors import DownloadError
from tests.doubles import packages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "wheels"
    made.mkdir()
    return made


def collected(folder: Path, platform: str, *roots: str, python: str = "3.12") -> list[str]:
    found = Resolver(folder, named(platform), python).collect(list(map(Requirement, roots)))
    return sorted(f"{package.name} {package.version}" for package in found)


def test_markers_mean_the_target_and_not_this_machine(index: Path, folder: Path) -> None:
    packages.wheel(
        index,
        "root",
        requires=[
            "everywhere>=1",
            "on-windows; sys_platform == 'win32'",
            "off-windows; sys_platform != 'win32'",
            "old-python; python_version < '3.12'",
            "root-extra; extra == 'more'",
        ],
    )
    for name in ("everywhere", "on-windows", "off-windows", "old-python", "root-extra"):
        packages.wheel(index, name)
    assert collected(folder, "windows-x86_64", "root") == ["everywhere 1.0", "on-windows 1.0", "root 1.0"]
    assert collected(folder, "linux-x86_64", "root", python="3.11") == [
        "everywhere 1.0",
        "off-windows 1.0",
        "old-python 1.0",
        "root 1.0",
    ]
    assert "root-extra 1.0" in collected(folder, "macos-arm64", "root[more]")


def test_wheels_of_the_target_are_taken(index: Path, folder: Path) -> None:
    for tag in (
        "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp312-cp312-win_amd64",
        "cp312-cp312-macosx_11_0_arm64",
        "cp313-cp313-win_amd64",
        "cp38-abi3-win_arm64",
    ):
        packages.wheel(index, "native", tag=tag)
    for platform, part in {
        "linux-x86_64": "manylinux",
        "windows-x86_64": "cp312-win_amd64",
        "macos-arm64": "macosx",
        "windows-arm64": "abi3",
    }.items():
        (found,) = Resolver(folder, named(platform), "3.12").collect([Requirement("native")])
        assert part in found.path.name


def test_limits_from_several_packages_hold_together(index: Path, folder: Path) -> None:
    packages.wheel(index, "first", requires=["shared"])
    packages.wheel(index, "second", requires=["third"])
    packages.wheel(index, "third", requires=["shared<2"])
    packages.wheel(index, "shared", "1.5")
    packages.wheel(index, "shared", "2.0", requires=["needed-by-two"])
    packages.wheel(index, "needed-by-two")
    assert collected(folder, "linux-x86_64", "first", "second") == [
        "first 1.0",
        "second 1.0",
        "shared 1.5",
        "third 1.0",
    ]


def test_what_has_no_wheel_comes_as_source_with_its_tools(index: Path, folder: Path) -> None:
    packages.source(index, "only-source", requires=["behind-it"])
    packages.wheel(index, "behind-it")
    for tool in BUILD_TOOLS:
        packages.wheel(index, Requirement(tool).name, "9.0")
    assert collected(folder, "windows-x86_64", "only-source") == [
        "behind-it 1.0",
        "cmake 9.0",
        "ninja 9.0",
        "only-source 1.0",
    ]


def test_what_the_index_has_not_is_named_with_the_platform(index: Path, folder: Path) -> None:
    packages.wheel(index, "root", requires=["absent"])
    with pytest.raises(DownloadError, match=r"has no absent for macos-x86_64 and Python 3\.12.*--no-wheels"):
        collected(folder, "macos-x86_64", "root")


def test_a_wheel_for_another_platform_only_is_no_wheel(index: Path, folder: Path) -> None:
    packages.wheel(index, "native", tag="cp312-cp312-win_amd64")
    with pytest.raises(DownloadError, match="no native for linux-aarch64"):
        collected(folder, "linux-aarch64", "native")
