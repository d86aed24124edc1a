"""What a bundle says of itself in `manifest.json`: for whom it is, which models it has, and the sum of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from edgellm.download import manifest as manifests
from edgellm.download.bundle import installer
from edgellm.download.bundle.writer import Summed, Writer
from edgellm.errors import DownloadError

MODELS = "models"


class Llama(msgspec.Struct, frozen=True, kw_only=True):
    """How llama.cpp is carried: a wheel that runs on `baseline`, its source (a compiler is needed there), or not."""

    kind: Literal["wheel", "source", "none"] = "none"
    version: str = ""
    baseline: str = ""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model: its place in the bundle, its name among the model's files, and its source's sum of it."""

    path: str
    file: str
    sum: str = ""


class CarriedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `use` is what it was asked for by, and what to write after -m; `folder` is its place in the store."""

    use: str
    reference: str
    title: str
    license: str
    folder: str
    files: tuple[ModelFile, ...]
    origin: manifests.Origin = "file"
    source: str = ""
    quantization: str = ""
    format: str = "gguf"
    revision: str = ""
    commit: str = ""
    sums: manifests.Sums = "source"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`platform` is empty, and there are no wheels, in a bundle of models alone; `pythons` are as `3.11`."""

    format: int = installer.FORMAT
    edgellm: str
    created: str
    platform: str = ""
    pythons: tuple[str, ...] = ()
    glibc: str = ""
    llama: Llama = Llama()
    models: tuple[CarriedModel, ...] = ()
    files: dict[str, Summed]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())


def write(writer: Writer, manifest: Manifest) -> str:
    """Add the manifest and its sum, which is returned."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    digest = hashlib.sha256(data).hexdigest()
    writer.add_bytes(installer.MANIFEST, data)
    # As `sha256sum --check` reads it.
    writer.add_bytes(installer.MANIFEST_SUM, f"{digest}  {installer.MANIFEST}\n".encode())
    return digest


def checked(found: Mapping[str, Any]) -> Manifest:
    """A manifest whose sums were found right, as a struct. Raises DownloadError when it contradicts itself."""
    try:
        manifest = msgspec.convert(found, Manifest)
    except msgspec.ValidationError as error:
        raise DownloadError(f"{installer.MANIFEST} of the bundle is wrong: {error}. Make it again.") from error
    for model in manifest.models:
        if not all(text.isprintable() for text in (model.use, model.reference, model.title, model.license)):
            raise DownloadError("the bundle's manifest has names that cannot be shown. Do not use this bundle.")
        _check_model(model, manifest)
    return manifest


def _check_model(model: CarriedModel, manifest: Manifest) -> None:
    if "/" in model.folder or not model.files or not all(file.path in manifest.files for file in model.files):
        raise DownloadError(f"the bundle's manifest is wrong about {model.reference[:100]!r}. Do not use this bundle.")
    try:
        installer.check_names([f"{model.folder}/{file.file}" for file in model.files])
    except installer.Refused as error:
        raise DownloadError(str(error)) from None
