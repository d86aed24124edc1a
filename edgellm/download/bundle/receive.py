"""Takes a bundle in: checks all of it first, then puts models, and packages if asked, where edgellm keeps them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from edgellm import paths
from edgellm.catalog import aliases, catalog
from edgellm.download import manifest as store_manifests, space
from edgellm.download.bundle import installer, manifest as manifests, own_wheel, pip_process, reader
from edgellm.download.bundle.installer import Contents
from edgellm.download.bundle.manifest import CarriedModel, Manifest, ModelFile
from edgellm.download.report import Report, silent
from edgellm.download.store import Store
from edgellm.errors import ChecksumMismatch, DownloadError, EdgeLLMError

STAGING = ".bundle"


class Taken(msgspec.Struct, frozen=True):
    """A model that is here now: what to write after -m, where it lies, and whether it was here before."""

    use: str
    path: Path
    was_here: bool


def verify(path: Path, report: Report = silent) -> Manifest:
    """What the bundle says of itself, when every sum is right. Raises DownloadError or ChecksumMismatch."""
    with reader.opened(path) as contents:
        return manifests.checked(installer.check(contents, report))


def take_models(path: Path, report: Report = silent, *, root: Path | None = None) -> list[Taken]:
    """Put the models of the bundle into the store below `root`, by default the user's models.

    The whole bundle is checked before anything is written, and each file again on its way. Raises DownloadError; what
    was complete by then stays, and nothing else does.
    """
    store = Store(root)
    with reader.opened(path) as contents:
        manifest = manifests.checked(installer.check(contents, report))
        missing = [model for model in manifest.models if not _is_here(model, manifest, store)]
        needed = sum(manifest.files[file.path].bytes for model in missing for file in model.files)
        store.root.mkdir(parents=True, exist_ok=True)
        space.require(store.root, needed)
        for model in missing:
            with store.lock(model.folder, report):
                _Arrival(model, manifest, contents, store, report).run()
        return [_taken(model, store, model not in missing) for model in manifest.models]


def take_packages(path: Path, report: Report = silent) -> str:
    """Bring this installation of edgellm to the bundle's version, which is returned; nothing but the bundle is asked.

    Raises DownloadError when it is for another machine, or this edgellm runs from a source tree.
    """
    if own_wheel.source_tree(importlib.metadata.distribution(own_wheel.PACKAGE)) is not None:
        raise DownloadError("this edgellm runs from its source tree, which no bundle replaces. Leave --wheels out.")
    with reader.opened(path) as contents:
        manifest = manifests.checked(installer.check(contents, report))
        installer.refuse_other_machines(msgspec.to_builtins(manifest))
        with tempfile.TemporaryDirectory(prefix="bundle-", dir=paths.cache_dir()) as work:
            for name in manifest.files:
                if name.startswith(f"{installer.WHEELS}/"):
                    _copy(contents, name, manifest, Path(work) / Path(name).name, lambda count: None)
            _install(Path(work), manifest, report)
    return manifest.edgellm


def _install(wheels: Path, manifest: Manifest, report: Report) -> None:
    words = ["install", "--no-index", "--find-links", str(wheels), "--no-cache-dir", f"edgellm=={manifest.edgellm}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    code, said = pip_process.run(
        words,
        tick=lambda: report(f"installing edgellm {manifest.edgellm}", 0, 0),
        environ=environ | {"PIP_CONFIG_FILE": os.devnull},
    )
    if code != 0:
        raise DownloadError(f"edgellm {manifest.edgellm} could not be installed: {pip_process.reason(said)}.")


def _is_here(model: CarriedModel, manifest: Manifest, store: Store) -> bool:
    """Whether the very files are in the store already, untouched since they were found right."""
    known = store.manifest(model.folder)
    if known is None or known.reference != model.reference or len(known.files) != len(model.files):
        return False
    wanted = {file.file: (file.sum or manifest.files[file.path].sha256) for file in model.files}
    return all(held.is_untouched and wanted.get(held.file) == held.sum for held in known.files)


class _Arrival:
    """One model on its way into the store, with the lock on its folder held."""

    def __init__(
        self, model: CarriedModel, manifest: Manifest, contents: Contents, store: Store, report: Report
    ) -> None:
        self.model = model
        self.manifest = manifest
        self.contents = contents
        self.store = store
        self.folder = store.root / model.folder
        self.report = report

    def run(self) -> None:
        """All files beside their places first, then each into its own, the store's manifest last."""
        staging = self.folder / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with space.writing(self.folder, self._bytes()):
                self._stage(staging)
                for file in self.model.files:
                    place = self.folder / file.file
                    place.parent.mkdir(parents=True, exist_ok=True)
                    (staging / file.file).replace(place)
            self.store.keep(self._kept())
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _bytes(self) -> int:
        return sum(self.manifest.files[file.path].bytes for file in self.model.files)

    def _stage(self, staging: Path) -> None:
        done, total = 0, self._bytes()

        def report(count: int) -> None:
            self.report(f"copying {self.model.reference}", done + count, total)

        for file in self.model.files:
            _copy(self.contents, file.path, self.manifest, staging / file.file, report)
            done += self.manifest.files[file.path].bytes

    def _kept(self) -> store_manifests.Manifest:
        model = self.model
        return store_manifests.Manifest(
            reference=model.reference,
            folder=model.folder,
            origin=model.origin,
            source=model.source,
            quantization=model.quantization,
            format=model.format,
            revision=model.revision,
            commit=model.commit,
            sums=model.sums,
            files=tuple(map(self._held, model.files)),
            fetched_at=time.time(),
        )

    def _held(self, file: ModelFile) -> store_manifests.Held:
        sum = file.sum or self.manifest.files[file.path].sha256
        return store_manifests.held(file.file, self.folder / file.file, sum)


def _copy(contents: Contents, name: str, manifest: Manifest, target: Path, report: Callable[[int], None]) -> None:
    """Write one file of the bundle to `target`, where it is complete and right, or the bundle is refused."""
    promised = manifest.files[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    with target.open("wb") as file:
        for data in _chunks(contents, name, promised.bytes):
            digest.update(data)
            count += len(data)
            file.write(data)
            report(count)
        file.flush()
        os.fsync(file.fileno())
    if count != promised.bytes or digest.hexdigest() != promised.sha256:
        raise ChecksumMismatch(f"{name} of the bundle changed while it was read. Nothing of it was kept; try again.")


def _chunks(contents: Contents, name: str, promised: int) -> Iterator[bytes]:
    """The file's content, read only a little further than it may be long."""
    count = 0
    try:
        with contents.open(name) as stream:
            while count <= promised and (data := stream.read(installer.CHUNK)):
                count += len(data)
                yield data
    except OSError as error:
        raise DownloadError(f"cannot read {name} of the bundle: {error.strerror or error}.") from error


def _taken(model: CarriedModel, store: Store, was_here: bool) -> Taken:
    known = store.manifest(model.folder)
    assert known is not None, "it was found or kept a moment ago"
    return Taken(_name(model, known.path), known.path, was_here)


def _name(model: CarriedModel, path: Path) -> str:
    """What means this model here: the name it was asked for by, if that can be had, its own, or its path."""
    _settle_alias(model)
    for name in (model.use, model.reference):
        if _meanings(name) == [model.reference]:
            return name
    return str(path)


def _settle_alias(model: CarriedModel) -> None:
    """An alias that may mean several models means here the one that was carried for it, unless the user moved it."""
    if len(_meanings(model.use)) > 1 and model.reference in _meanings(model.use) and model.use not in aliases.read():
        aliases.move(model.use, model.reference, catalog.current())


def _meanings(name: str) -> list[str]:
    """What `name` may mean on this machine; nothing if the catalog here does not know it."""
    known = catalog.current()
    try:
        references = known.candidates(name)
        for reference in references:
            known.target(reference)
    except EdgeLLMError:
        return []
    return [str(reference) for reference in references]
