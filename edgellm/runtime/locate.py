"""Finds what somebody named: on this machine where it is, else fetched; and what is known of it without loading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgellm.catalog import catalog as catalogs, in_place, model_folder
from edgellm.catalog.catalog import Catalog, Target
from edgellm.catalog.entry import Entry
from edgellm.catalog.found import Found
from edgellm.catalog.reference import HubReference, NameReference, Reference, UpstreamReference, parse
from edgellm.config import Settings
from edgellm.errors import ModelNotFound
from edgellm.fit.plan import Planner
from edgellm.request import SamplingParams
from edgellm.runtime.format_choice import in_format
from edgellm.runtime.suited import Suited, suited

if TYPE_CHECKING:
    from edgellm.runtime.upstream_lookout import Lookout

Progress = Callable[[str, int, int], None]


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A model that lies on this machine at `path`: a GGUF file (of splits the first), or an MLX or ONNX folder.

    `name` is how lists call it; `entry` is what the catalog knows of it, if anything. `reason` says in a sentence why
    it was taken of several that its name may mean.
    """

    path: Path
    name: str
    entry: Entry | None = None
    reason: str = ""

    @property
    def kind(self) -> model_folder.Kind | None:
        return model_folder.kind(self.path)

    @property
    def sampling(self) -> SamplingParams:
        """What its makers recommend."""
        return self.entry.sampling if self.entry is not None else SamplingParams()


def locate(text: str, settings: Settings, progress: Progress | None = None) -> Located:
    """The model that `text` names; blocks while it is fetched, if it is not on this machine.

    Raises ModelNotFound, DownloadError, and UnsupportedModel where it does not come for the backend of the settings.
    """
    path = catalogs.here(text)
    if path is not None:
        return Located(path=path.absolute(), name=path.stem if path.is_file() else path.name)
    catalog = catalogs.current()
    meant = text
    try:
        candidates = catalog.candidates(text)
        meant = str(candidates[-1])
        chosen = choose(candidates, catalog, settings)
        target = catalog.target(chosen.target) if isinstance(chosen.target, UpstreamReference) else chosen.target
    except ModelNotFound as error:
        return _of_others(meant, catalog, error)
    format = ""
    if isinstance(target, Entry) and not _quantized(text):
        whole = catalog.entries[target.name]
        target, format = in_format(target, whole.sources, settings, lambda entry: here(entry, catalog) is not None)
    found = here(target, catalog) or _fetched(target, catalog, settings, progress)
    why = "; ".join(clause for clause in (chosen.reason, format) if clause)
    reason = f"{text} is {found.name} here: {why}." if why else ""
    return msgspec.structs.replace(found, reason=reason)


def _quantized(text: str) -> bool:
    """Whether somebody wrote down which quantization they want."""
    reference = parse(text)
    return isinstance(reference, NameReference) and reference.quantization != ""


def choose(
    candidates: tuple[Reference, ...],
    catalog: Catalog,
    settings: Settings,
    planning: Planner | None = None,
    *,
    ask: bool = True,
    lookout: Lookout | None = None,
) -> Suited:
    """Of the models that a name may mean, from large to small, the one that suits this machine; see `suited`."""
    from edgellm.runtime import upstreams

    targets = [each if isinstance(each, UpstreamReference) else catalog.target(each) for each in candidates]

    def lies(target: Target) -> Path | None:
        located = here(target, catalog)
        return located.path if located is not None else None

    def answers(target: UpstreamReference) -> bool:
        return upstreams.answers(target, catalog, settings, lookout)

    given = (lambda _: planning) if planning is not None else None
    return suited(targets, lies, settings, given, ask=ask, answers=answers)


def here(target: Target, catalog: Catalog) -> Located | None:
    """`target` if all of it is on this machine, whichever program brought it; nobody is asked."""
    if isinstance(target, Path):
        return Located(path=target, name=target.stem if target.is_file() else target.name)
    from edgellm import download

    held = download.held(target)
    if held is not None:
        return _as(target, held.path, held.quantization, catalog)
    found: Found | None = None
    if isinstance(target, Entry):
        found = in_place.of_entry(target, in_place.on_this_machine())
    elif isinstance(target, HubReference):
        models = in_place.on_this_machine()  # Ollama's own names, owner/name:tag, look like repositories
        found = in_place.of_repository(target, models) or in_place.named(str(target), models)
    return _as(target, found.path, in_place.quantization(found), catalog) if found is not None else None


def _fetched(target: Target, catalog: Catalog, settings: Settings, progress: Progress | None) -> Located:
    assert not isinstance(target, Path), "what is a path is here"
    from edgellm import download
    from edgellm.download.report import silent

    path = download.fetch(target, progress or silent, offline=settings.offline)
    held = download.held(target)
    return _as(target, path, held.quantization if held is not None else "", catalog)


def _as(target: Target, path: Path, quantization: str, catalog: Catalog) -> Located:
    """`path` by the name that lists have for `target`, of which `quantization` was taken."""
    match target:
        case Entry():
            return Located(path=path, name=target.reference, entry=target)
        case HubReference():
            tag = target.quantization or quantization
            name = f"{target.repository}:{tag}" if tag else target.repository
            return Located(path=path, name=name, entry=catalog.of_repository(target.repository))
        case _:
            return Located(path=path, name=path.stem)


def _of_others(text: str, catalog: Catalog, error: ModelNotFound) -> Located:
    """The model of another program with that very name. Raises ModelNotFound with what is called alike."""
    models = in_place.on_this_machine()
    found = in_place.named(text, models)
    if found is not None:
        return Located(path=found.path, name=found.name)
    if str(error) == catalog.advice(text):
        raise ModelNotFound(catalog.advice(text, [model.name for model in models])) from None
    raise error
