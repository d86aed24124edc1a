"""Builds a llama-cpp-python wheel that runs on other machines of this platform too, once, and keeps it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgellm import paths
from edgellm.download import space
from edgellm.download.bundle import pip_process
from edgellm.download.bundle.portable_build import PortableBuild
from edgellm.download.report import Report, silent
from edgellm.errors import DownloadError

PACKAGE = "llama-cpp-python"
LABEL = "building llama.cpp (some minutes, once)"
ROOM = 1 << 30
_STEP = re.compile(r"\[(\d+)/(\d+)\]")
# What people set to get a build that is best on this machine would undo what makes it portable.
_UNWANTED = ("CMAKE_ARGS", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "SKBUILD_CMAKE_ARGS", "SKBUILD_CMAKE_DEFINE")
_WORK_PREFIX = "build-"


def wheel(version: str, build: PortableBuild, steps: Report = silent) -> Path:
    """The wheel of this version, built now unless it was before. `steps` counts compilation steps, not bytes.

    Raises DownloadError when the source cannot be fetched or there is no compiler. Ctrl-C leaves nothing half-built.
    """
    place = kept(version, build)
    if (found := _only_wheel(place)) is not None:
        return found
    with _locked(place, steps):
        if (found := _only_wheel(place)) is not None:  # another process has built it meanwhile
            return found
        with space.writing(place, ROOM):
            return _build(version, build, place, steps)


def kept(version: str, build: PortableBuild) -> Path:
    """The directory that holds the wheel once it is built."""
    return paths.cache_dir() / "wheels" / f"llama-cpp-python-{version}-{build.key(version)}"


def needed_glibc(wheel: Path) -> str:
    """The least glibc whose symbols the wheel's libraries ask for, as `2.34`; empty where they ask for none."""
    found: set[tuple[int, int]] = set()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if ".so" in member:
                found |= {(int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", archive.read(member))}
    return ".".join(map(str, max(found))) if found else ""


def _build(version: str, build: PortableBuild, place: Path, steps: Report) -> Path:
    space.require(place, ROOM)
    work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=place))
    log = place / "build.log"

    def show(line: str) -> None:
        output.write(line + "\n")
        if step := _STEP.search(line):
            steps(LABEL, int(step[1]), int(step[2]))

    try:
        (work / "tmp").mkdir()
        steps(LABEL, 0, 0)
        with log.open("w", encoding="utf-8") as output:
            code, said = pip_process.run(_words(version, build, work), line=show, environ=_environ(work / "tmp"))
        built = _only_wheel(work)
        if code != 0 or built is None:
            raise _failed(version, said, log)
        _check(built, build)
        target = place / built.name
        built.replace(target)
        return target
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _words(version: str, build: PortableBuild, work: Path) -> list[str]:
    # No cache of pip's: it would give back a wheel that was built for this machine alone.
    words = ["wheel", "-v", "--no-deps", "--no-cache-dir", "--no-binary", PACKAGE, "--wheel-dir", str(work)]
    for name, value in build.definitions:
        words += ["--config-settings", f"cmake.define.{name}={value}"]
    return [*words, f"{PACKAGE}=={version}"]


def _environ(tmp: Path) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp))


def _check(wheel: Path, build: PortableBuild) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [Path(member).name for member in archive.namelist() if member.startswith("llama_cpp/lib/")]
    wanted = "ggml-cpu-" if build.variants else "ggml-cpu"
    if not any(wanted in name for name in names):
        raise DownloadError(
            f"the wheel of {PACKAGE} that was built lacks its {wanted}* libraries. This version of it may be built in "
            "another way; make the bundle with the version that edgellm asks for."
        )


def _failed(version: str, said: str, log: Path) -> DownloadError:
    if "No space left on device" in said:
        return space.full(log.parent, ROOM)
    return DownloadError(
        f"{PACKAGE} {version} could not be built: {pip_process.reason(said)}. It needs a C and C++ compiler; "
        f"the whole output is in {log}."
    )


@contextmanager
def _locked(place: Path, steps: Report) -> Iterator[None]:
    import filelock

    with space.writing(place, ROOM):
        place.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place / ".lock")
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5)
            except filelock.Timeout:
                steps("waiting for another build of llama.cpp", 0, 0)
    try:
        for stale in place.glob(_WORK_PREFIX + "*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        lock.release()


def _only_wheel(place: Path) -> Path | None:
    return next(iter(sorted(place.glob("*.whl"))), None)
