"""Makes a bundle: models and, unless they are all that is wanted, everything that an installation needs."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgellm import paths
from edgellm.download.bundle import installer, manifest as manifests, models, packages, target as targets, writer
from edgellm.download.bundle.manifest import Manifest
from edgellm.download.bundle.models import Packed
from edgellm.download.bundle.packages import Packages
from edgellm.download.report import Report, silent, size
from edgellm.errors import ConfigError, DownloadError, Offline

OLDEST_PYTHON = 11


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to put together. `platform` is this machine's if empty; `pythons` are as `3.11`, this one's if empty."""

    out: Path
    models: tuple[str, ...]
    platform: str = ""
    pythons: tuple[str, ...] = ()
    wheels: bool = True
    offline: bool = False


class Made(msgspec.Struct, frozen=True):
    """A bundle that was made; `sum` is its manifest's, and so the whole bundle's."""

    path: Path
    manifest: Manifest
    sum: str


def create(order: Order, report: Report = silent, steps: Report = silent) -> Made:
    """Make the bundle. `report` counts bytes, `steps` those of a compilation. Raises EdgeLLMError.

    It is there when all of it is; Ctrl-C and errors leave nothing but what later bundles can use again.
    """
    writer.refuse_existing(order.out)
    target, pythons = targets.named(order.platform), _pythons(order.pythons)
    if order.wheels and order.offline:
        raise Offline("packages come over the network. Switch offline off, or carry only models with --no-wheels.")
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=paths.cache_dir()) as work:
        wheels = packages.collect(Path(work), target, pythons, report, steps) if order.wheels else None
        chosen = models.packed(order.models, report, offline=order.offline)
        manifest = Manifest(
            edgellm=wheels.version if wheels else importlib.metadata.version("edgellm"),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            models=tuple(packed.model for packed in chosen),
            files={},
        )
        if wheels:
            manifest = msgspec.structs.replace(
                manifest, platform=target.name, pythons=pythons, llama=wheels.llama, glibc=wheels.glibc
            )
        return _write(order.out, manifest, chosen, wheels, report)


def _pythons(asked: tuple[str, ...]) -> tuple[str, ...]:
    chosen = asked or (f"{sys.version_info[0]}.{sys.version_info[1]}",)
    for python in chosen:
        match = re.fullmatch(r"3\.(\d{1,2})", python)
        if match is None or int(match[1]) < OLDEST_PYTHON:
            raise ConfigError(f"--python {python} is not a version of Python that edgellm runs on, such as 3.11.")
    return tuple(dict.fromkeys(chosen))


def _write(out: Path, manifest: Manifest, chosen: list[Packed], wheels: Packages | None, report: Report) -> Made:
    sources = {path: source for packed in chosen for path, source in packed.sources.items()}
    sources |= {f"{installer.WHEELS}/{path.name}": path for path in (wheels.files if wheels else ())}
    _check_names(sources)
    total = sum(source.stat().st_size for source in sources.values())
    _require(out.parent, total)
    with writer.writing(out) as writing:
        done = 0

        def written(count: int) -> None:
            report(f"writing {out.name}", done + count, total)

        for path, source in sources.items():
            done += writing.add(path, source, written).bytes
        if wheels:
            writing.add(installer.INSTALLER, Path(installer.__file__))
        writing.add_bytes("README.txt", _readme(manifest).encode())
        manifest = msgspec.structs.replace(manifest, files=dict(writing.files))
        return Made(out, manifest, manifests.write(writing, manifest))


def _check_names(names: Iterable[str]) -> None:
    """Better here than on the other side."""
    try:
        installer.check_names(names)
    except installer.Refused as error:
        raise DownloadError(f"a file of the model has a name that not every system takes: {error}") from None


def _require(folder: Path, needed: int) -> None:
    if (free := shutil.disk_usage(folder).free) < needed:
        raise DownloadError(f"the bundle takes {size(needed)}, and {folder} has {size(free)} free. Make room there.")


def _readme(manifest: Manifest) -> str:
    lines = [f"edgellm {manifest.edgellm}, made {manifest.created}. Nothing here needs a network.", ""]
    if manifest.platform:
        lines += [f"For {manifest.platform} with Python {' or '.join(manifest.pythons)}:", "", "    python3 install.py"]
        if manifest.llama.kind == "source":
            lines += ["", "llama.cpp is compiled there: that takes some minutes and a C and C++ compiler."]
    lines += ["", "The models alone, into an edgellm that is installed already:", ""]
    lines += ["    edgellm bundle install THIS-DIRECTORY", "", "Models:", ""]
    lines += [
        f"    {model.use}: {model.title}{f' ({model.license})' * bool(model.license)}" for model in manifest.models
    ]
    return "\n".join([*lines, ""])
