"""Installs edgellm and its models from the bundle that this file lies in, with nothing but Python 3.11 or later.

    python3 install.py                  # into ~/edgellm
    python3 install.py --to PLACE       # somewhere else
    python3 install.py --check          # only look whether the bundle is whole

A bundle has a copy of this file as `install.py`, so it imports the standard library alone. edgellm itself uses the part
that reads a manifest and checks the sums.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

OLDEST = (3, 11)
FORMAT = 1
MANIFEST, MANIFEST_SUM, INSTALLER, WHEELS = "manifest.json", "manifest.json.sha256", "install.py", "wheels"
LARGEST_MANIFEST = 16 << 20
CHUNK = 1 << 20
LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}
PIP_LIMIT_S = 0.2

Report = Callable[[str, int, int], None]


class Refused(Exception):
    """The bundle is not what it should be, or not for this machine; `changed` if a sum says that it was altered."""

    def __init__(self, message: str, changed: bool = False) -> None:
        super().__init__(message)
        self.changed = changed


class Contents(Protocol):
    """The files of a bundle, wherever they lie: sizes in bytes by their paths inside, and a way to read each."""

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def open(self, name: str) -> BinaryIO: ...


class Folder:
    """A bundle that is a directory. Links and other things that are no files are refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes = {path.relative_to(root).as_posix(): path.lstat().st_size for path in _files(root)}

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")


def _files(folder: Path) -> Iterable[Path]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda found: found.name):
            if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                raise Refused(f"{entry.path} is a link or no file at all, which no bundle has. Do not use this bundle.")
            if entry.is_dir():
                yield from _files(Path(entry.path))
            elif entry.name not in LEFT_BY_SYSTEMS:
                yield Path(entry.path)


def check(contents: Contents, report: Report) -> dict[str, Any]:
    """The manifest of a bundle whose every file is there, has its sum, and is listed. Raises Refused otherwise."""
    manifest = read_manifest(contents)
    files = manifest["files"]
    there = set(contents.sizes) - {MANIFEST, MANIFEST_SUM}
    if missing := sorted(set(files) - there):
        raise Refused(f"{_some(missing)} missing from the bundle. Copy it again.")
    if extra := sorted(there - set(files)):
        raise Refused(f"{_some(extra)} in the bundle, but not in its manifest. Remove what was added.", changed=True)
    done, total = 0, sum(file["bytes"] for file in files.values())
    for name, file in files.items():
        for count in _check_file(contents, name, file):
            report("checking", done + count, total)
        done += file["bytes"]
    return manifest


def read_manifest(contents: Contents) -> dict[str, Any]:
    """The manifest, well-formed, with its sum right and every path in it harmless. Raises Refused otherwise."""
    data, promised = _small(contents, MANIFEST), _small(contents, MANIFEST_SUM)
    if promised.split()[:1] != [hashlib.sha256(data).hexdigest().encode()]:
        raise Refused(f"the sum of {MANIFEST} is not the one in {MANIFEST_SUM}. Copy the bundle again.", changed=True)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused(f"{MANIFEST} is damaged. Copy the bundle again.") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise Refused(f"{MANIFEST} is no manifest of an edgellm bundle.")
    if manifest["format"] != FORMAT:
        raise Refused(f"this bundle has format {manifest['format']}, and this edgellm reads {FORMAT}. Use a newer one.")
    if not isinstance(manifest.get("files"), dict) or not all(map(_is_record, manifest["files"].values())):
        raise Refused(f"{MANIFEST} does not list files with sizes and sums.")
    check_names(manifest["files"])
    return manifest


def _small(contents: Contents, name: str) -> bytes:
    if name not in contents.sizes:
        raise Refused(f"there is no {name}: this is no edgellm bundle, or not all of it was copied.")
    with contents.open(name) as file:
        data = file.read(LARGEST_MANIFEST + 1)
    if len(data) > LARGEST_MANIFEST:
        raise Refused(f"{name} is too large to be genuine. Do not use this bundle.")
    return data


def _is_record(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("bytes"), int)
        and value["bytes"] >= 0
        and isinstance(value.get("sha256"), str)
        and re.fullmatch("[0-9a-f]{64}", value["sha256"]) is not None
    )


# Names that Windows gives another meaning, alone or with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NAME = re.compile(r"[^\x00-\x1f\x7f<>:\"|?*\\/]{1,200}")


def check_names(names: Iterable[str]) -> None:
    """Raises Refused for a path that leads out of the bundle or means something else on another system."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if len(name) > 400 or not all(map(_is_plain, parts)):
            raise Refused(f"the path {name[:100]!r} does not belong in a bundle. Do not use this bundle.", changed=True)
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise Refused(f"{name!r} and {other!r} are one file on some systems. Do not use this bundle.", changed=True)
    if both := [name for name in seen if _above(name) & seen.keys()]:
        raise Refused(f"{both[0]!r} is below a path that is a file. Do not use this bundle.", changed=True)


def _above(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}


def _is_plain(part: str) -> bool:
    """Whether `part` is one plain file name everywhere; `..`, drives and trailing dots are not."""
    return (
        _NAME.fullmatch(part) is not None
        and part.strip(" ") == part
        and not part.endswith(".")
        and _RESERVED.fullmatch(part) is None
    )


def _check_file(contents: Contents, name: str, file: Mapping[str, Any]) -> Iterable[int]:
    """Yields the bytes read so far."""
    if contents.sizes[name] != file["bytes"]:
        raise Refused(f"{name} has {contents.sizes[name]:,} bytes instead of {file['bytes']:,}. Copy the bundle again.")
    digest, count = hashlib.sha256(), 0
    with contents.open(name) as stream:
        while (data := stream.read(CHUNK)) and count <= file["bytes"]:
            digest.update(data)
            count += len(data)
            yield min(count, file["bytes"])
    if count != file["bytes"] or digest.hexdigest() != file["sha256"]:
        raise Refused(f"{name} does not have the sum that the manifest promises. Copy the bundle again.", changed=True)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


def platform_name() -> str:
    """This machine as bundles name it, `linux-x86_64`, `macos-arm64`, `windows-x86_64`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{system}-{'arm64' if machine == 'aarch64' and system != 'linux' else machine}"


def refuse_other_machines(manifest: Mapping[str, Any]) -> None:
    """Raises Refused when the wheels of the bundle are not for this platform, Python or C library."""
    if not manifest.get("platform"):
        raise Refused("this bundle has models only. In an edgellm that is installed: edgellm bundle install BUNDLE")
    if manifest["platform"] != platform_name():
        raise Refused(f"this bundle is for {manifest['platform']}, and this machine is {platform_name()}.")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python not in manifest["pythons"]:
        wanted = " or ".join(manifest["pythons"])
        raise Refused(f"this bundle is for Python {wanted}, and this is {python}. Start it with that Python.")
    libc, version = platform.libc_ver()
    if sys.platform == "linux" and (libc != "glibc" or _numbers(version) < _numbers(manifest.get("glibc", ""))):
        raise Refused(
            f"this bundle needs glibc {manifest.get('glibc', '')} or later, and this system has {libc or 'another'} "
            f"{version}. Make a bundle on an older system."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def install(bundle: Path, place: Path) -> None:
    """Make a virtual environment at `place`, put edgellm in it and its models where edgellm keeps them.

    Raises Refused; what was begun at `place` is removed then, and after Ctrl-C too.
    """
    with _Progress() as progress:
        manifest = check(Folder(bundle), progress)
    refuse_other_machines(manifest)
    _refuse_place(place, bundle)
    _require_room(place, manifest)
    begun = not place.exists()
    try:
        python = _environment(place, bundle, manifest)
        _models(python, bundle, manifest)
        launcher = _launcher(place)
    except BaseException:
        if begun:
            shutil.rmtree(place, ignore_errors=True)
        raise
    _tell(launcher, manifest)


def _refuse_place(place: Path, bundle: Path) -> None:
    if place == bundle or bundle in place.parents:
        raise Refused(f"{place} is inside the bundle. Choose another place with --to.")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise Refused(f"{place} is there already. Remove it, or choose another place with --to.")


def _require_room(place: Path, manifest: Mapping[str, Any]) -> None:
    """Wheels unpack to about four times their size."""
    wheels = sum(file["bytes"] for name, file in manifest["files"].items() if name.startswith(WHEELS + "/"))
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < 4 * wheels:
        raise Refused(
            f"{4 * wheels / 1e6:,.0f} MB are needed in {place}, and {free / 1e6:,.0f} MB are free. Make room."
        )


def _environment(place: Path, bundle: Path, manifest: Mapping[str, Any]) -> Path:
    """A virtual environment with edgellm, found to work; returns its Python. pip comes from the bundle too."""
    folder = place / "venv"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = next((bundle / WHEELS).glob("pip-*.whl"), None)
    if pip is None:
        raise Refused("the bundle has no pip. Make it again.")
    compiled = manifest["llama"]["kind"] == "source"
    what = "installing edgellm" + (" (llama.cpp is compiled: some minutes)" if compiled else "")
    words = ["install", "--no-index", "--find-links", str(bundle / WHEELS), "--no-cache-dir", "--quiet"]
    _run([str(python), f"{pip}/pip", *words, f"edgellm=={manifest['edgellm']}"], what, _pip_advice(compiled))
    test = "from edgellm.backends.llamacpp import library; library.build_id()"
    _run([str(python), "-P", "-c", test], "trying llama.cpp", "llama.cpp does not run on this machine.")
    return python


def _pip_advice(compiled: bool) -> str:
    if compiled:
        return "llama.cpp could not be compiled, perhaps. It needs a C and C++ compiler on this machine."
    return "The packages could not be installed."


def _run(words: list[str], what: str, advice: str) -> None:
    started = time.monotonic()
    with _Progress() as progress:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environ())
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=PIP_LIMIT_S)
                    break
                except subprocess.TimeoutExpired:
                    progress(f"{what}, {time.monotonic() - started:.0f} s", 0, 0)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        said = output.decode("utf-8", "replace").strip() or f"it ended with {process.returncode}"
        raise Refused(f"{advice}\n{said[-3000:]}")


def _environ() -> dict[str, str]:
    """The environment without what would bring in other packages or places, and without the network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "EDGELLM_OFFLINE": "1"}


def _models(python: Path, bundle: Path, manifest: Mapping[str, Any]) -> None:
    if not manifest["models"]:
        return
    words = [str(python), "-P", "-m", "edgellm.cli", "bundle", "install", str(bundle)]
    if subprocess.run(words, env=_environ(), check=False).returncode != 0:
        raise Refused("the models could not be put in place; the reason is above.")


def _launcher(place: Path) -> Path:
    """A command that starts edgellm from anywhere."""
    if os.name == "nt":
        launcher = place / "edgellm.cmd"
        launcher.write_text('@"%~dp0venv\\Scripts\\edgellm.exe" %*\r\n', encoding="utf-8", newline="")
        return launcher
    launcher = place / "edgellm"
    launcher.write_text(f'#!/bin/sh\nexec {_quoted(place)}/venv/bin/edgellm "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    return launcher


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def _tell(launcher: Path, manifest: Mapping[str, Any]) -> None:
    print(f"edgellm {manifest['edgellm']} is installed in {launcher.parent}. Try it:")
    for model in manifest["models"][:1]:
        print(f'    {launcher} run -m {model["use"]} "Why is the sky blue?"')
        print(f"    {launcher} chat -m {model['use']}")
    print(f"    {launcher} models")
    print(f"To type only `edgellm`, add {launcher.parent} to your PATH.")


class _Progress:
    """One redrawn line on a terminal; elsewhere a line when something else begins."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def __call__(self, label: str, done: int, total: int) -> None:
        text = f"{label}: {100 * done // total}% of {total / 1e6:,.1f} MB" if total else label
        if self._terminal:
            if text != self._shown:
                print(f"\r{text:<{len(self._shown)}}", end="", file=sys.stderr, flush=True)
                self._shown = text
        elif self._shown != (short := label.split(",")[0]):
            print(f"{short} ...", file=sys.stderr, flush=True)
            self._shown = short

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    if sys.version_info < OLDEST:
        print(f"error: edgellm needs Python 3.11 or later, and this is {platform.python_version()}.", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(description="Installs edgellm and its models from this bundle.")
    parser.add_argument("--to", metavar="PLACE", default="~/edgellm", help="a directory to make (default: ~/edgellm)")
    parser.add_argument("--check", action="store_true", help="only look whether the bundle is whole")
    chosen = parser.parse_args(arguments)
    bundle = Path(__file__).resolve().parent
    try:
        if chosen.check:
            with _Progress() as progress:
                check(Folder(bundle), progress)
            print("the bundle is whole")
        else:
            install(bundle, Path(chosen.to).expanduser().resolve())
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or bundle}: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is left of this installation", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
