"""Which of the models that other programs hold here somebody means, so that it is used where it lies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgellm.catalog import found as others, quantization as quantizations
from edgellm.catalog.entry import Entry
from edgellm.catalog.found import Found
from edgellm.catalog.reference import HOSTS, HubReference
from edgellm.catalog.sources import HubSource

_USUAL = "Q4_K_M"


def on_this_machine() -> list[Found]:
    """Every model of other programs; none where nobody has a home."""
    try:
        return others.models(os.environ, Path.home())
    except RuntimeError:
        return []


def named(text: str, models: Sequence[Found]) -> Found | None:
    """The model that its own program calls `text`, in whichever case; a tag `latest` need not be written."""
    wanted = text.strip().lower()
    by_name = {model.name.lower(): model for model in reversed(models)}
    return by_name.get(wanted) or by_name.get(f"{wanted}:latest")


def of_repository(reference: HubReference, models: Sequence[Found]) -> Found | None:
    """A GGUF file that came from this repository: the one asked for, or the usual one of those that are here."""
    if reference.revision != "main":  # nobody keeps which revision a file was of
        return None
    here = [(model, tag) for model in models if (tag := _tag(model, reference)) is not None]
    if reference.file:
        wanted = f"{reference.repository}/{reference.file}".lower()
        return next((model for model, _ in here if model.name.lower() == wanted), None)
    if reference.quantization:
        return next((model for model, tag in here if tag == reference.quantization), None)
    return next((model for model, _ in sorted(here, key=lambda pair: pair[1] != _USUAL)), None)


def of_entry(entry: Entry, models: Sequence[Found]) -> Found | None:
    """What came of one of the repositories of this model: a file in the quantization it is asked for, or a folder."""
    quantization = entry.asked or quantizations.normal(entry.quantization)
    sources = [source for source in entry.sources if isinstance(source, HubSource)]
    found = (
        of_repository(HubReference(source.repository, quantization), models)
        if source.format == "gguf"
        else _folder(source, models)
        for source in sources
        if source.format == "gguf" or quantization in source.quantizations
    )
    return next((model for model in found if model is not None), None)


def _folder(source: HubSource, models: Sequence[Found]) -> Found | None:
    """The repository, or the folder in it whose files `source` means."""
    inside = source.file.rpartition("/")[0]
    wanted = f"{source.repository}/{inside}".rstrip("/").lower()
    return next((model for model in models if (model.format, model.name.lower()) == (source.format, wanted)), None)


def quantization(model: Found) -> str:
    """What the name of a model tells of its quantization; empty if it tells none."""
    tag = model.name.rpartition(":")[2] if model.origin == "ollama" else quantizations.of_file(model.name)
    return quantizations.normal(tag) if quantizations.is_known(tag) else ""


def _tag(model: Found, reference: HubReference) -> str | None:
    """The quantization of a GGUF file of this repository, empty if its name tells none; None for other models."""
    name, repository = model.name.lower(), reference.repository.lower()
    if model.format != "gguf":
        return None
    if model.origin == "ollama":
        plain, _, tag = name.partition(":")
        host, _, rest = plain.partition("/")
        return quantizations.normal(tag) if host in HOSTS and rest == repository else None
    return quantizations.of_file(model.name) if name.startswith(f"{repository}/") else None
