"""Fetches the wheels that a set of requirements needs on another platform, with this machine's configured pip.

pip decides by this machine what a marker like `sys_platform == 'win32'` means, even when it downloads for another. So
it is asked for one package at a time here, and markers are decided for the target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from edgellm.download.bundle import package_file, pip_process
from edgellm.download.bundle.package_file import PackageFile
from edgellm.download.bundle.target import Target
from edgellm.download.report import Report, silent
from edgellm.errors import DownloadError

LABEL = "downloading packages"
BUILD_TOOLS = ("cmake>=3.21", "ninja>=1.11")


class Resolver:
    """What one platform and version of Python needs; `folder` gets the files, and may have those of others already."""

    def __init__(self, folder: Path, target: Target, python: str, report: Report = silent) -> None:
        self.folder = folder
        self.target = target
        self.python = python
        self.report = report
        self._supported = target.supports(python)
        self._environment = target.environment(python)
        self._wanted: dict[str, SpecifierSet] = {}
        self._sources: set[str] = set()
        self._read: dict[Path, list[Requirement]] = {}

    def collect(self, roots: Sequence[Requirement]) -> list[PackageFile]:
        """The files that `roots` and all they require come to, fetched where they are missing.

        A package of which the index has no wheel comes as source, with what it needs to be built. Raises DownloadError.
        """
        while missing := [name for name in self._reach(roots) if self._best(name) is None]:
            self._fetch(missing)
        found = [self._best(name) for name in self._reach(roots)]
        return [package for package in found if package is not None]

    def _reach(self, roots: Sequence[Requirement]) -> Iterable[str]:
        """Names that can be reached through the packages that are here; limits on versions add up on the way."""
        seen: dict[str, set[str]] = {}
        queue = list(roots)
        while queue:
            asked = queue.pop()
            name = package_file.canonical(asked.name)
            self._wanted[name] = self._wanted.get(name, SpecifierSet()) & asked.specifier
            extras = seen.get(name, set())
            if name in seen and asked.extras <= extras:
                continue
            seen[name] = extras | asked.extras
            if (package := self._best(name)) is not None:
                queue += self._required(package, seen[name])
        return seen

    def _required(self, package: PackageFile, extras: set[str]) -> Iterator[Requirement]:
        for requirement in self._requires(package):
            if any(self._applies(requirement, extra) for extra in ("", *extras)):
                yield requirement

    def _requires(self, package: PackageFile) -> list[Requirement]:
        if package.path not in self._read:
            build = [*package.build_requires(), *map(Requirement, BUILD_TOOLS)] if package.is_source else []
            self._read[package.path] = [*package.requires(), *build]
        return self._read[package.path]

    def _applies(self, requirement: Requirement, extra: str) -> bool:
        marker = requirement.marker
        return marker is None or marker.evaluate(self._environment | {"extra": extra})

    def _best(self, name: str) -> PackageFile | None:
        """The newest package of this name here that the target can use and nobody has excluded."""
        allowed = self._wanted.get(name, SpecifierSet())
        fitting = [
            package
            for package in package_file.listed(self.folder)
            if package.name == name and self._usable(package) and allowed.contains(package.version, prereleases=True)
        ]
        return max(fitting, key=lambda package: package.version, default=None)

    def _usable(self, package: PackageFile) -> bool:
        return package.name in self._sources if package.is_source else not self._supported.isdisjoint(package.tags)

    def carry_source(self, name: str) -> None:
        """Take `name` as source package: it is not asked whether the index has a wheel."""
        self._sources.add(package_file.canonical(name))

    def _fetch(self, names: Iterable[str]) -> None:
        wheels = [name for name in names if name not in self._sources]
        for name in set(names) - set(wheels):
            self._fetch_source(name)
        if not wheels:
            return
        code, said = self._pip(["--only-binary", ":all:", *self._platform(), *map(self._requirement, wheels)])
        if code == 0:
            self._require(wheels)
        elif (lacking := _no_wheel(said)) in wheels:
            self._fetch_source(lacking)
        else:
            raise self._failed(said)

    def _fetch_source(self, name: str) -> None:
        self.carry_source(name)
        code, said = self._pip(["--no-binary", name, self._requirement(name)])
        if code != 0:
            raise DownloadError(
                f"the package index has no {name} for {self.target.name} and Python {self.python}, neither as wheel "
                f"nor as source ({pip_process.reason(said)}). Choose another --platform or --python, or carry only "
                "models with --no-wheels."
            )
        self._require([name])

    def _pip(self, words: Sequence[str]) -> tuple[int, str]:
        def tick() -> None:
            self.report(LABEL, _size(self.folder), 0)

        tmp = self.folder / "tmp"
        tmp.mkdir(exist_ok=True)
        environ = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp))
        # What the target's Python must be is in the tags that we choose ourselves.
        common = ["download", "--no-deps", "--dest", str(self.folder)]
        return pip_process.run([*common, *words], tick=tick, environ=environ)

    def _platform(self) -> list[str]:
        words = ["--python-version", self.python, "--implementation", "cp"]
        return words + [word for tag in self.target.tags for word in ("--platform", tag)]

    def _requirement(self, name: str) -> str:
        return f"{name}{self._wanted[name]}"

    def _require(self, names: Iterable[str]) -> None:
        """Or we would ask for the same again, for ever."""
        if absent := [name for name in names if self._best(name) is None]:
            raise DownloadError(f"pip fetched no usable package for {', '.join(absent)}. Check `pip config list`.")

    def _failed(self, said: str) -> DownloadError:
        return DownloadError(
            f"pip could not fetch the packages for {self.target.name} and Python {self.python}: "
            f"{pip_process.reason(said)}. Check the network and pip's settings (`pip config list`)."
        )


def _no_wheel(said: str) -> str:
    """The package that pip found nothing for; empty if it failed for another reason."""
    found = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", said)
    return package_file.canonical(found[1]) if found else ""


def _size(folder: Path) -> int:
    total = 0
    try:
        for path in folder.rglob("*"):
            total += path.stat().st_size if path.is_file() else 0
    except OSError:  # pip removed something while we looked
        pass
    return total
