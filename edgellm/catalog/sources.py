"""Where a model's files can be had: frozen structs, checked when they are read, that `download` knows how to fetch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgellm.catalog import quantization as quantizations_of

Count = Annotated[int, Meta(gt=0)]
Sum = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Format = Literal["gguf", "mlx", "onnx"]
# Pinned, because the sum is of one version; and nothing that pip could take for an option or an address.
Requirement = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+\Z")]
# As the hub has them: 96 characters at most, no `..` or `--`, and never the `.git` of a clone's address.
_SEGMENT = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
REPOSITORY = rf"(?!.*(?:--|\.\.|\.git(?:/|$)))(?!.{{193}}){_SEGMENT}/{_SEGMENT}"
Repository = Annotated[str, Meta(pattern=rf"^{REPOSITORY}\Z")]
REVISION = r"(?!.*(?:\.\.|//))[A-Za-z0-9][A-Za-z0-9._/-]{0,119}"
Revision = Annotated[str, Meta(pattern=rf"^{REVISION}\Z")]
# A path inside a repository: relative, with forward slashes, and never out of it.
_INSIDE = r"(?!/)(?!.*(?:(?:^|/)\.\.?(?:/|$)|//))"
FILE = rf"{_INSIDE}[A-Za-z0-9 ._+()/-]{{1,400}}"
Pattern = Annotated[str, Meta(pattern=rf"^{_INSIDE}[A-Za-z0-9 ._+()/*{{}}-]{{1,400}}\Z")]

QUANTIZATION = "{quantization}"
"""Stands in a `HubSource.file` for the quantization that is wanted."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel and the file inside it; `wheel_bytes` is the wheel's own size, for progress and disk space."""

    requirement: Requirement
    member: Annotated[str, Meta(min_length=1)]
    wheel_bytes: Count | None = None

    def __post_init__(self) -> None:
        if self.member.startswith("/") or "\\" in self.member or ".." in self.member.split("/"):
            raise ValueError(f"member {self.member!r} must be a relative path inside the wheel")


class PackageSource(msgspec.Struct, frozen=True, kw_only=True, tag="package", tag_field="kind"):
    """Wheels from the machine's own package index; the members, put together in order, are the model file."""

    parts: Annotated[tuple[Part, ...], Meta(min_length=1)]


class FileSource(msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="kind"):
    """A copy of the model file that may lie on this machine or a drive it has; `~` is the user's home."""

    path: Annotated[str, Meta(min_length=1)]


class HubSource(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="hub",
    tag_field="kind",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Files of one repository of the model hub; sizes and sums are the hub's to tell, when they are fetched.

    `file` is a pattern of their paths: `*` is any text, `{quantization}` the quantization, in whichever case. A GGUF
    model is one file or its splits; an MLX or ONNX model is every file that matches. `quantizations` are those known
    to be there, the usual first; empty if nobody has looked.
    """

    repository: Repository
    file: Pattern = "*{quantization}*.gguf"
    revision: Revision = "main"
    format: Format = "gguf"
    quantizations: tuple[str, ...] = ()

    def files(self, listing: Iterable[str], quantization: str = "") -> tuple[str, ...]:
        """The files to fetch of all that the repository lists, splits in order; empty if it has no such model."""
        wanted = self.file.replace(QUANTIZATION, quantization or "*").lower()
        matching = [file for file in listing if fnmatchcase(file.lower(), wanted)]
        if self.format != "gguf":
            return tuple(sorted(matching))
        models = quantizations_of.groups(matching)
        if not quantization:
            return next(iter(models.values()), ())
        # `Q4_K` matches `Q4_K_M` too, so the name must tell the very quantization, if it tells one.
        return models.get(quantizations_of.normal(quantization)) or models.get("", ())


class UrlSource(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="url",
    tag_field="kind",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A GGUF file at an address; where `sha256` is given, what comes must have it."""

    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z")]
    sha256: Sum = ""


Source = PackageSource | FileSource | HubSource | UrlSource


def is_repository(text: str) -> bool:
    """Whether the hub could have a repository of this name, `user/repository`."""
    return re.fullmatch(REPOSITORY, text) is not None
