"""`Shown`: all that a model's files tell of it, without loading it, for people and for clients that ask."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgellm.catalog.metadata import facts
from edgellm.chat.tools.family import family_of
from edgellm.request import SamplingParams
from edgellm.runtime.locate import Located
from edgellm.runtime.offers import offer


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, lengths in tokens; 0 and "" where the files are silent. `capabilities` have Ollama's names."""

    name: str
    path: Path
    format: str
    architecture: str
    quantization: str
    parameters: int
    context: int
    embedding: int
    layers: int
    heads: int
    vocabulary: int
    size: int
    created: int
    capabilities: tuple[str, ...]
    license: str
    template: str
    sampling: SamplingParams


def shown(located: Located) -> Shown:
    """What is known of a model on this machine; reads its header. Raises LoadError or ModelNotFound."""
    found = facts(located.path)
    offered = offer(located)
    template = found.template or ""
    return Shown(
        name=located.name,
        path=located.path,
        format=found.format,
        architecture=found.architecture,
        quantization=found.quantization,
        parameters=found.parameters,
        context=found.context,
        embedding=found.embedding,
        layers=len(found.layers),
        heads=found.heads,
        vocabulary=found.vocabulary,
        size=found.file_bytes,
        created=offered.info.created,
        capabilities=_capabilities(offered.kind == "embeddings", template, fim=found.fim),
        license=located.entry.license if located.entry is not None else "",
        template=template,
        sampling=located.sampling,
    )


def _capabilities(embeds: bool, template: str, *, fim: bool) -> tuple[str, ...]:
    if embeds:
        return ("embedding",)
    family = family_of(template)
    known = {
        "completion": True,
        "tools": bool(template) and not family.generic,
        "insert": fim,
        "thinking": family.thinking is not None,
    }
    return tuple(name for name, has in known.items() if has)
