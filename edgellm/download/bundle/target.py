"""The machines that a bundle can be made for: their names, pip's tags for them, and what markers say there."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from itertools import chain

import msgspec

from edgellm.download.bundle import installer
from edgellm.errors import ConfigError

# The glibc that wheels may ask for: of 2018, which every Linux that still gets updates has.
GLIBC = 28
MACOS = 14


class Target(msgspec.Struct, frozen=True):
    """One platform: `tags` are pip's names for it, the newest first; the rest is what environment markers ask for."""

    name: str
    tags: tuple[str, ...]
    sys_platform: str
    platform_system: str
    platform_machine: str

    def environment(self, python: str) -> dict[str, str]:
        """What environment markers are compared with; `python` is `3.11`. Of its releases, the first needs most."""
        return {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "platform_python_implementation": "CPython",
            "os_name": "nt" if self.sys_platform == "win32" else "posix",
            "sys_platform": self.sys_platform,
            "platform_system": self.platform_system,
            "platform_machine": self.platform_machine,
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }

    def supports(self, python: str) -> frozenset[object]:
        """The wheel tags (of `packaging`) that work on this platform with this version of CPython."""
        from packaging import tags

        version = tuple(int(part) for part in python.split("."))
        return frozenset(
            chain(
                tags.cpython_tags(version, platforms=self.tags),
                tags.compatible_tags(version, f"cp{version[0]}{version[1]}", self.tags),
            )
        )

    @property
    def is_here(self) -> bool:
        """Whether what is compiled on this machine runs there."""
        return self.name == installer.platform_name() and (sys.platform != "linux" or platform.libc_ver()[0] == "glibc")


def _linux(machine: str) -> Target:
    names = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)]
    old = ["manylinux2014"] if machine == "aarch64" else ["manylinux2014", "manylinux2010", "manylinux1"]
    return Target(
        f"linux-{machine}",
        (*names, *(f"{name}_{machine}" for name in old), f"linux_{machine}"),
        "linux",
        "Linux",
        machine,
    )


def _macos(machine: str) -> Target:
    return Target(f"macos-{machine}", tuple(_macos_tags(machine)), "darwin", "Darwin", machine)


def _macos_tags(machine: str) -> Iterator[str]:
    for major in range(MACOS, 10, -1):
        yield from (f"macosx_{major}_0_{machine}", f"macosx_{major}_0_universal2")
    for minor in range(16, 8, -1):
        yield from ((f"macosx_10_{minor}_{machine}",) if machine == "x86_64" else ())
        yield f"macosx_10_{minor}_universal2"


def _windows(machine: str, tag: str, name: str) -> Target:
    return Target(f"windows-{name}", (tag,), "win32", "Windows", machine)


TARGETS = {
    target.name: target
    for target in (
        _linux("x86_64"),
        _linux("aarch64"),
        _macos("arm64"),
        _macos("x86_64"),
        _windows("AMD64", "win_amd64", "x86_64"),
        _windows("ARM64", "win_arm64", "arm64"),
    )
}


def named(name: str) -> Target:
    """The platform of this name, or this machine's for an empty one. Raises ConfigError."""
    wanted = name or installer.platform_name()
    if wanted not in TARGETS:
        raise ConfigError(f"there is no platform {wanted!r}. Choose one with --platform: {', '.join(TARGETS)}.")
    return TARGETS[wanted]
