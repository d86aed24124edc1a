"""The models that go into a bundle: found or fetched here, with every file that belongs to them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from edgellm import download
from edgellm.catalog import catalog, model_folder
from edgellm.catalog.entry import Entry
from edgellm.download.bundle.manifest import MODELS, CarriedModel, ModelFile
from edgellm.download.manifest import Held, Manifest
from edgellm.download.report import Report, silent
from edgellm.download.wanted import Model
from edgellm.errors import ConfigError

_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")
_SPLIT = re.compile(r"-\d{5}-of-(\d{5}\.gguf)\Z", re.IGNORECASE)


class Packed(msgspec.Struct, frozen=True):
    """A model, and where on this machine each of its files lies, by its path in the bundle."""

    model: CarriedModel
    sources: dict[str, Path]


def packed(names: tuple[str, ...], report: Report = silent, *, offline: bool = False) -> list[Packed]:
    """The models that `names` mean, in their order, fetched where they are not here. Raises EdgeLLMError."""
    found: dict[str, Packed] = {}
    for name in names:
        one = _packed(name, report, offline)
        known = found.setdefault(one.model.folder, one)
        if known.sources != one.sources:
            raise ConfigError(f"{known.model.use} and {name} would be one in the bundle. Carry them in two bundles.")
    return list(found.values())


def _packed(name: str, report: Report, offline: bool) -> Packed:
    meant = _meant(name)
    if isinstance(meant, Path):
        return _local(meant)
    manifest, _ = download.pull(meant, report, offline=offline)
    title, license = (meant.title, meant.license) if isinstance(meant, Entry) else (manifest.reference, "")
    return _from_store(name, title, license, manifest)


def _meant(name: str) -> Model | Path:
    """Of an alias that may mean several models the largest that is here, or else the smallest."""
    path = catalog.here(name)
    if path is not None:
        return path
    known = catalog.current()
    targets = [known.target(reference) for reference in known.candidates(name)]
    return next((target for target in targets if isinstance(target, Path) or download.held(target)), targets[-1])


def _from_store(name: str, title: str, license: str, manifest: Manifest) -> Packed:
    files = [_file(manifest.folder, held) for held in manifest.files]
    model = CarriedModel(
        use=name,
        reference=manifest.reference,
        title=title,
        license=license,
        folder=manifest.folder,
        files=tuple(files),
        origin=manifest.origin,
        source=manifest.source,
        quantization=manifest.quantization,
        format=manifest.format,
        revision=manifest.revision,
        commit=manifest.commit,
        sums=manifest.sums,
    )
    places = zip(files, manifest.files, strict=True)
    return Packed(model, {file.path: Path(held.path).resolve() for file, held in places})


def _file(folder: str, held: Held) -> ModelFile:
    return ModelFile(path=f"{MODELS}/{folder}/{held.file}", file=held.file, sum=held.sum)


def _local(path: Path) -> Packed:
    """A model that lies somewhere on this machine: a file, all its splits, or a folder."""
    folder = _UNFIT.sub("-", path.stem if path.is_file() else path.name).strip("-.") or "model"
    files = {place.relative_to(_top(path)).as_posix(): place.resolve() for place in _local_files(path)}
    model = CarriedModel(
        use=folder,
        reference=folder,
        title=folder,
        license="",
        folder=folder,
        files=tuple(ModelFile(path=f"{MODELS}/{folder}/{name}", file=name) for name in files),
        source=path.name,
        format=model_folder.kind(path) or "gguf",
        sums="first use",
    )
    return Packed(model, {f"{MODELS}/{folder}/{name}": place for name, place in files.items()})


def _top(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _local_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(place for place in path.rglob("*") if place.is_file() and not place.name.startswith("."))
    split = _SPLIT.search(path.name)
    return sorted(path.parent.glob(f"{path.name[: split.start()]}-*-of-{split[1]}")) if split else [path]
