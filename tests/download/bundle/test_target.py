"""Platforms: their names, what runs there, and how an unknown one is refused."""

from __future__ import annotations

import platform

import pytest
from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

from edgellm.download.bundle import installer, target
from edgellm.errors import ConfigError


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "arm64", "macos-arm64"),
        ("Darwin", "x86_64", "macos-x86_64"),
        ("Windows", "AMD64", "windows-x86_64"),
        ("Windows", "ARM64", "windows-arm64"),
    ],
)
def test_every_machine_finds_its_own_platform(monkeypatch, system: str, machine: str, name: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert installer.platform_name() == name
    chosen = target.named("")
    assert (chosen.name, chosen.platform_system) == (name, system)
    assert chosen.platform_machine == machine


@pytest.mark.parametrize(
    ("wheel", "runs_on"),
    [
        ("a-1-py3-none-any.whl", set(target.TARGETS)),
        ("a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", {"linux-x86_64"}),
        ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", set()),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", set()),
        ("a-1-cp39-abi3-manylinux2014_aarch64.whl", {"linux-aarch64"}),
        ("a-1-py3-none-linux_x86_64.whl", {"linux-x86_64"}),
        ("a-1-cp311-cp311-macosx_10_9_universal2.whl", {"macos-arm64", "macos-x86_64"}),
        ("a-1-cp311-cp311-macosx_14_0_arm64.whl", {"macos-arm64"}),
        ("a-1-cp311-cp311-macosx_10_12_x86_64.whl", {"macos-x86_64"}),
        ("a-1-cp312-cp312-win_amd64.whl", set()),
        ("a-1-cp311-cp311-win_amd64.whl", {"windows-x86_64"}),
        ("a-1-cp311-cp311t-win_amd64.whl", set()),
    ],
)
def test_wheels_run_where_their_tags_say(wheel: str, runs_on: set[str]) -> None:
    tags = parse_wheel_filename(wheel)[3]
    assert {name for name, each in target.TARGETS.items() if tags & each.supports("3.11")} == runs_on


def test_markers_can_ask_for_everything() -> None:
    environment = target.named("windows-x86_64").environment("3.11")
    text = "os_name == 'nt' and platform_machine == 'AMD64' and python_full_version < '3.11.3' and extra == ''"
    assert Marker(text).evaluate(environment)


def test_an_unknown_platform_is_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no platform 'solaris'.*linux-x86_64.*windows-arm64"):
        target.named("solaris")
