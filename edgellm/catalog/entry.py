"""One model that is known by name: what it is, what it is good at, and where it can be had."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from edgellm.catalog import quantization as quantizations
from edgellm.catalog.sources import FileSource, Format, HubSource, PackageSource, Source, Sum
from edgellm.errors import ModelNotFound
from edgellm.request import SamplingParams

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z")]
FileName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?\Z")]
Url = Annotated[str, Meta(pattern=r"^https://[!-~]+\Z")]
Skill = Literal["chat", "code", "fim", "tools", "embeddings", "rerank", "draft"]
"""`fim` fills a hole between two texts; `draft` is small enough to guess ahead for larger ones of its family."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model and where it can be had, whichever of the `sources`, which are tried in order.

    `context` counts tokens; `parameters` is as exact as its makers say; 0 where nobody looked, for headers tell both.
    `quantization` is the one to take unless another is asked for. `sampling` is what the makers recommend, `draft` the
    model that guesses ahead for this one, `facts` where all this was read. Embeddings may be cut to `least_dimensions`
    where its makers trained them for it (Matryoshka); 0 where they did not. `file`, `bytes` and `sha256` tell the file
    that packages and copies give; without such sources they are empty, and the hub knows them. `asked` is the other
    quantization that `at` was asked for; no file says it.
    """

    name: Name
    title: str
    family: str
    license: str
    context: Annotated[int, Meta(ge=0)] = 0
    parameters: Annotated[int, Meta(ge=0)] = 0
    quantization: str
    file: FileName = ""
    bytes: Annotated[int, Meta(ge=0)] = 0
    sha256: Sum = ""
    aliases: tuple[Name, ...] = ()
    good_for: tuple[Skill, ...] = ()
    least_dimensions: Annotated[int, Meta(ge=0)] = 0
    draft: Name | None = None
    sampling: SamplingParams = SamplingParams()
    facts: tuple[Url, ...] = ()
    asked: str = ""
    sources: Annotated[tuple[Source, ...], Meta(min_length=1)]

    @property
    def reference(self) -> str:
        """How somebody writes this model, in the quantization that was asked for."""
        return f"{self.name}:{self.asked}" if self.asked else self.name

    @property
    def quantizations(self) -> tuple[str, ...]:
        """Those that are known to be there, the usual one first."""
        known = (self.quantization, *(name for source in self.sources for name in _offered(source)))
        return tuple(dict.fromkeys(known))

    def at(self, quantization: str = "") -> Entry:
        """This model in one quantization, with the sources that have it. Raises ModelNotFound."""
        wanted = quantizations.normal(quantization) if quantization else self.asked or self.quantization
        sources = tuple(source for source in self.sources if self._has(source, wanted))
        # A repository may have more than anybody wrote down: the hub will tell.
        sources = sources or tuple(source for source in self.sources if _may_have(source, wanted))
        if not sources:
            raise ModelNotFound(
                f"{self.name} is not known to come as {wanted}, but as {', '.join(self.quantizations)}. "
                f"Name one of them, as in {self.name}:{self.quantizations[0]}."
            )
        if wanted == (self.asked or self.quantization):
            return self if sources == self.sources else replace(self, sources=sources)
        asked = wanted if wanted != self.quantization else ""
        return replace(self, asked=asked, sources=sources, file="", bytes=0, sha256="")

    def hub_source(self, format: Format) -> HubSource | None:
        """The first repository that has this model in `format`."""
        of_hub = (source for source in self.sources if isinstance(source, HubSource))
        return next((source for source in of_hub if source.format == format), None)

    def problem(self) -> str | None:
        """The first thing that contradicts itself, in words, or None."""
        if any(isinstance(source, PackageSource | FileSource) for source in self.sources):
            for key in ("file", "bytes", "sha256"):
                if not getattr(self, key):
                    return f"a model that comes in packages or as a copy needs {key}"
        if self.asked:
            return "there is no 'asked'"
        if self.draft == self.name:
            return "draft: a model cannot guess ahead for itself"
        problem = self.sampling.problem()
        return f"sampling: {problem}" if problem else None

    def _has(self, source: Source, quantization: str) -> bool:
        if isinstance(source, HubSource):
            return quantization in source.quantizations
        return quantization == self.quantization


def _may_have(source: Source, quantization: str) -> bool:
    of_gguf = isinstance(source, HubSource) and source.format == "gguf"
    return of_gguf and quantizations.is_gguf(quantization)


def _offered(source: Source) -> tuple[str, ...]:
    return source.quantizations if isinstance(source, HubSource) else ()
