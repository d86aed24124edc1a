"""What somebody wants to have here: a model of the catalog, of a repository or at an address, seen as one thing."""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import unquote, urlsplit

import msgspec

from edgellm.catalog.catalog import Entry
from edgellm.catalog.quantization import normal
from edgellm.catalog.reference import HubReference, UrlReference
from edgellm.catalog.sources import HubSource, Source, UrlSource

Model = Entry | HubReference | UrlReference
_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model to fetch. `folder` is its directory in the store; `quantization` is empty if any will do.

    `file`, `bytes` and `sha256` are what sources that hold one file must give; empty where nobody has told them.
    """

    reference: str
    folder: str
    sources: tuple[Source, ...]
    quantization: str = ""
    file: str = ""
    bytes: int = 0
    sha256: str = ""


def wanted(model: Model, quantization: str = "") -> Wanted:
    """`model`, in `quantization` if one is given. Raises ModelNotFound when no source could have that."""
    match model:
        case Entry():
            return _entry(model.at(quantization) if quantization else model)
        case HubReference():
            return _repository(model, normal(quantization) or model.quantization)
        case UrlReference():
            return _address(model)


def _entry(entry: Entry) -> Wanted:
    return Wanted(
        reference=entry.reference,
        folder=f"{entry.name}--{fit(entry.asked)}" if entry.asked else entry.name,
        sources=entry.sources,
        quantization=entry.asked or normal(entry.quantization),
        file=entry.file,
        bytes=entry.bytes,
        sha256=entry.sha256,
    )


def _repository(reference: HubReference, quantization: str) -> Wanted:
    shown = msgspec.structs.replace(reference, quantization="" if reference.file else quantization)
    # Whoever names one split of a model wants all of them.
    file = re.sub(r"-\d{5}-of-(\d{5})\.gguf\Z", r"-*-of-\1.gguf", reference.file) or "*"
    source = HubSource(repository=reference.repository, file=file, revision=reference.revision)
    name = str(shown).removeprefix("https://huggingface.co/")
    return Wanted(reference=str(shown), folder=fit(name), sources=(source,), quantization=shown.quantization)


def _address(reference: UrlReference) -> Wanted:
    parts = urlsplit(reference.url)
    file = fit(unquote(parts.path).rsplit("/", 1)[-1]).lstrip(".-") or "model.gguf"
    # Two addresses may end in the same name.
    folder = f"{fit(parts.hostname or 'url')}--{sha256(reference.url.encode()).hexdigest()[:12]}"
    return Wanted(reference=reference.url, folder=folder, sources=(UrlSource(url=reference.url),), file=file)


def fit(text: str) -> str:
    """`text` as one name that every file system takes."""
    return _UNFIT.sub("--", text)[:200]
