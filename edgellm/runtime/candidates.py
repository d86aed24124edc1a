"""What a name may mean, in every quantization it comes in, with facts from headers where they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from edgellm import download
from edgellm.catalog import catalog as catalogs, quantization as quantizations
from edgellm.catalog.catalog import Target
from edgellm.catalog.entry import Entry
from edgellm.catalog.metadata import ModelFacts, facts_at
from edgellm.catalog.reference import HubReference, UrlReference
from edgellm.catalog.sources import Format, HubSource
from edgellm.download import hub_choice
from edgellm.download.hub import Hub, Repository
from edgellm.errors import DownloadError, Offline
from edgellm.fit.variants import guessed, scaled
from edgellm.runtime.known_facts import facts_of


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One quantization of one model. `read` says whether a header told its facts; `here`, whether it is on this
    machine; `draft` is the model that may guess ahead for it."""

    model: str
    facts: ModelFacts
    read: bool
    here: bool = False
    draft: str = ""
    path: str = ""


def of_name(text: str, *, offline: bool = False) -> list[Candidate]:
    """All that `text` may mean. Raises ModelNotFound, LoadError, and DownloadError for what only the hub knows."""
    path = catalogs.here(text)
    if path is not None:
        return [Candidate(model=_name(path), facts=facts_of(path), read=True, here=True, path=str(path))]
    catalog = catalogs.current()
    targets = [catalog.target(reference) for reference in catalog.candidates(text)]
    return [candidate for target in targets for candidate in _of_target(target, offline)]


def to_fetch(target: Target) -> ModelFacts | None:
    """What would be fetched of `target`, as the hub's listing and a header tell; None for what the hub has not.

    Raises LoadError and DownloadError.
    """
    hub = Hub()
    match target:
        case Entry():
            source, wanted = target.hub_source("gguf"), target.asked or target.quantization
        case HubReference():
            source = HubSource(repository=target.repository, file=target.file or "*.gguf", revision=target.revision)
            wanted = target.quantization
        case _:
            return None
    if source is None:
        return None
    found = {each.facts.quantization: each.facts for each in _of_repository(source.repository, source, hub)}
    if not wanted:
        wanted = next((name for name in hub_choice.USUAL if name in found), next(iter(found)))
    return found.get(quantizations.normal(wanted))


def of_catalog() -> list[Candidate]:
    """Every model known by name that writes; asks nobody."""
    entries = [
        entry for entry in catalogs.current().entries.values() if {"embeddings", "rerank"}.isdisjoint(entry.good_for)
    ]
    return [candidate for entry in entries for candidate in of_entry(entry)]


def of_entry(entry: Entry, hub: Hub | None = None) -> list[Candidate]:
    """The quantizations that the catalog names; with `hub`, those that its repository has, as its headers tell."""
    source = entry.hub_source("gguf")
    if hub is not None and source is not None and not entry.asked:
        try:
            listed = {each.facts.quantization: each for each in _of_repository(entry.name, source, hub)}
        except DownloadError:
            if not entry.parameters:
                raise
            listed = {}  # what the catalog says is better than nothing
        named = [each for each in _named(entry) if each.here or each.facts.quantization not in listed]
        mine = {each.facts.quantization for each in named}
        merged = [*named, *(each for name, each in listed.items() if name not in mine)]
        return [msgspec.structs.replace(each, draft=entry.draft or "") for each in merged]
    return list(_named(entry))


def _of_target(target: Target, offline: bool) -> list[Candidate]:
    match target:
        case Entry():
            return of_entry(target, None if offline else Hub(offline=offline))
        case HubReference():
            source = HubSource(repository=target.repository, file=target.file or "*.gguf", revision=target.revision)
            found = _of_repository(target.repository, source, Hub(offline=offline))
            wanted = quantizations.normal(target.quantization)
            return [each for each in found if not wanted or each.facts.quantization == wanted]
        case UrlReference():
            if offline:
                raise Offline(f"{target.url} cannot be asked: the offline setting forbids it.")
            return [Candidate(model=target.url, facts=facts_at(target.url), read=True)]
        case _:
            return [Candidate(model=_name(target), facts=facts_of(target), read=True, here=True, path=str(target))]


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name


def _named(entry: Entry) -> Iterator[Candidate]:
    for name in (entry.asked,) if entry.asked else entry.quantizations:
        held = download.held(entry.at(name))
        if held is not None:
            facts, path = msgspec.structs.replace(facts_of(held.path), quantization=name), str(held.path)
        elif not entry.parameters:  # nothing to guess from: only the header tells
            continue
        else:
            facts, path = guessed(entry.name, entry.parameters, entry.context, name, _format(entry, name)), ""
        yield Candidate(
            model=entry.name, facts=facts, read=bool(path), here=held is not None, draft=entry.draft or "", path=path
        )


def _format(entry: Entry, quantization: str) -> Format:
    of_hub: Iterable[HubSource] = (source for source in entry.sources if isinstance(source, HubSource))
    return next((source.format for source in of_hub if quantization in source.quantizations), "gguf")


def _of_repository(model: str, source: HubSource, hub: Hub) -> list[Candidate]:
    """Reads one header, of the smallest file; its other quantizations differ from it in their weights alone."""
    repository = hub.repository(source.repository, source.revision)
    models = hub_choice.of_listing(source, [file.path for file in repository.files])
    if not models:
        raise DownloadError(f"{source.repository} has no GGUF model. Name a repository that has; most end in -GGUF.")
    sizes = {name: sum(file.size for file in repository.find(files)) for name, files in models.items()}
    smallest = min(sizes, key=lambda name: sizes[name])
    seen = _header(repository, models[smallest][0], hub)
    return [
        Candidate(
            model=model,
            facts=msgspec.structs.replace(seen, quantization=name)
            if name == smallest
            else scaled(seen, name, sizes[name]),
            read=name == smallest,
        )
        for name in sorted(sizes, key=lambda name: sizes[name])
    ]


def _header(repository: Repository, path: str, hub: Hub) -> ModelFacts:
    remote = hub.remote(repository, repository.find((path,))[0])
    return msgspec.structs.replace(facts_at(remote.url, headers=hub.headers()), template=None)
