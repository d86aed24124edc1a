"""The packages that go into a bundle: edgellm itself, llama.cpp for the platform, and all that they require."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import msgspec
from packaging.requirements import Requirement

from edgellm.download.bundle import llama_wheel, own_wheel, package_file, portable_build
from edgellm.download.bundle.manifest import Llama
from edgellm.download.bundle.package_file import PackageFile
from edgellm.download.bundle.resolve import Resolver
from edgellm.download.bundle.target import GLIBC, Target
from edgellm.download.report import Report, silent
from edgellm.errors import DownloadError


class Packages(msgspec.Struct, frozen=True):
    """The files, in a directory of the caller's; `version` is edgellm's, `glibc` what the target needs at least."""

    files: tuple[Path, ...]
    version: str
    llama: Llama
    glibc: str


def collect(
    folder: Path, target: Target, pythons: Sequence[str], report: Report = silent, steps: Report = silent
) -> Packages:
    """Fetch or build every package into `folder`. `report` counts bytes, `steps` those of a compilation.

    Raises DownloadError.
    """
    own = package_file.read(own_wheel.build(folder))
    assert own is not None
    llama, glibc = _llama(folder, own, target, steps)
    found: dict[Path, PackageFile] = {}
    for python in pythons:
        resolver = Resolver(folder, target, python, report)
        if llama.kind == "source":
            resolver.carry_source(llama_wheel.PACKAGE)
        found |= {package.path: package for package in resolver.collect([Requirement(f"edgellm=={own.version}")])}
    return Packages(tuple(sorted(found)), str(own.version), llama, glibc)


def _llama(folder: Path, own: PackageFile, target: Target, steps: Report) -> tuple[Llama, str]:
    version = _pinned(own)
    if not target.is_here:
        return Llama(kind="source", version=version, baseline="the machine it is compiled on"), _glibc(target, "")
    build = portable_build.here()
    wheel = llama_wheel.wheel(version, build, steps)
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    return Llama(kind="wheel", version=version, baseline=build.baseline), _glibc(
        target, llama_wheel.needed_glibc(wheel)
    )


def _glibc(target: Target, needed: str) -> str:
    """The least that all Linux wheels together may ask for."""
    if target.sys_platform != "linux":
        return ""
    return max(f"2.{GLIBC}", needed, key=lambda version: [int(part) for part in version.split(".") if part])


def _pinned(own: PackageFile) -> str:
    """The version of llama-cpp-python that this edgellm was made for, else the one that is installed."""
    for requirement in own.requires():
        if package_file.canonical(requirement.name) == llama_wheel.PACKAGE:
            for specifier in requirement.specifier:
                if specifier.operator == "==":
                    return specifier.version
    try:
        return importlib.metadata.version(llama_wheel.PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise DownloadError(f"which {llama_wheel.PACKAGE} edgellm needs is not known. Install it here first.") from None
