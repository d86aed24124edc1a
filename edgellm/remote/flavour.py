"""`Flavour`: which program answers behind an OpenAI-compatible address, and what it understands beyond OpenAI's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from edgellm.model import ModelInfo
from edgellm.request import SamplingParams

Flavour = Literal["edgellm", "llama-server", "vllm", "other"]

_OWNERS: dict[str, Flavour] = {"edgellm": "edgellm", "llamacpp": "llama-server", "vllm": "vllm"}


def flavour_of(model: Mapping[str, Any]) -> Flavour:
    """By the owner that it gives its models in /v1/models."""
    return _OWNERS.get(str(model.get("owned_by")), "other")


def info_of(model: Mapping[str, Any], backend: str = "") -> ModelInfo:
    """An entry of /v1/models; what it does not tell is 0 or empty."""
    given = model.get("meta")
    meta = given if isinstance(given, dict) else {}
    return ModelInfo(
        name=str(model["id"]),
        backend=backend or flavour_of(model),
        context_length=_count(meta.get("n_ctx")) or _count(model.get("max_model_len")),
        size_bytes=_count(meta.get("size")),
        parameters=_count(meta.get("n_params")),
        quantization=_word(meta.get("quantization")),
        architecture=_word(meta.get("architecture")),
        created=_count(model.get("created")),
        sampling=_sampling(meta.get("sampling")),
    )


def names_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """All names that it answers to, its own first."""
    aliases = model.get("aliases")
    others = aliases if isinstance(aliases, list) else ()
    return (str(model["id"]), *(alias for alias in others if isinstance(alias, str)))


def named(models: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any] | None:
    """The entry that is meant by `wanted`: by one of its names, else by the only one that is alike.

    Alike are names that differ in upper and lower case, in a tag `latest`, or in the folders before them, which servers
    tell of models that are files of theirs.
    """
    for entry in models:
        if wanted in names_of(entry):
            return entry
    low = _plain(wanted)
    alike = [entry for entry in models if low in map(_plain, names_of(entry))]
    alike = alike or [entry for entry in models if low in map(_last, names_of(entry))]
    return alike[0] if len(alike) == 1 else None


def shown_as(name: str) -> str:
    """A model's name without the folders of another machine before it."""
    rooted = name.startswith(("/", "~", ".")) or "\\" in name
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] if rooted else name


def _plain(name: str) -> str:
    return name.lower().removesuffix(":latest").rstrip("/")


def _last(name: str) -> str:
    return _plain(name.replace("\\", "/")).rpartition("/")[2]


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sampling(value: object) -> SamplingParams:
    try:
        return msgspec.convert(value or {}, SamplingParams)
    except msgspec.ValidationError:
        return SamplingParams()
