"""The names of quantizations: read out of file names, spelled one way, and used to pick files of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_KIND = r"(?:UD-)?(?:I?Q[1-8](?:_[0-9A-Z]{1,4})*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32)"
_IN_NAME = re.compile(rf"(?:^|[-._])({_KIND})(?=$|[-._])", re.IGNORECASE)
_WHOLE = re.compile(rf"{_KIND}\Z", re.IGNORECASE)
_BITS = re.compile(r"([1-9]|16|32)-?bits?\Z", re.IGNORECASE)
_INTEGER = re.compile(r"u?int[48]\Z", re.IGNORECASE)
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\Z")
_NO_MODEL = re.compile(r"(^|[-._])(mmproj|imatrix|lora|vocab)([-._]|$)", re.IGNORECASE)
"""GGUF files that lie beside models and are none: image projectors, calibration data, adapters, vocabularies."""


def normal(text: str) -> str:
    """The usual spelling: `Q4_K_M`, `F16`, `4-bit`, `int4`; what is no known kind stays as it is."""
    if _WHOLE.match(text):
        return re.sub("^FP(?=16|32)", "F", text.upper())
    if bits := _BITS.match(text):
        return f"{bits[1]}-bit"
    return text.lower() if _INTEGER.match(text) else text


def is_known(text: str) -> bool:
    """Whether `text` is how somebody writes a quantization."""
    return bool(_WHOLE.match(text) or _BITS.match(text) or _INTEGER.match(text))


def is_gguf(text: str) -> bool:
    """Whether `text` is a quantization that GGUF files have."""
    return _WHOLE.match(text) is not None


def of_file(name: str) -> str:
    """The quantization that the name of a GGUF file (a path in its repository) tells, or an empty text."""
    path = PurePosixPath(name)
    for part in (_unsplit(path)[0], *reversed(path.parts[:-1])):
        if found := _IN_NAME.findall(part):
            return normal(found[-1])
    return ""


def models(files: Iterable[str]) -> list[tuple[str, ...]]:
    """The GGUF models among `files`, each as its file or the files of its splits in order, short names first.

    Incomplete splits are left out, and so are files that are no models.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for file in sorted(files):
        path = PurePosixPath(file)
        if path.suffix.lower() == ".gguf" and not _NO_MODEL.search(path.stem):
            stem, count = _unsplit(path)
            found.setdefault((str(path.parent / stem), count), []).append(file)
    ordered = sorted(found.items(), key=lambda item: (len(item[0][0]), item[0]))
    return [tuple(parts) for (_, count), parts in ordered if len(parts) == count]


def groups(files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`models` of one repository by quantization; of two in the same one the one with the shorter path stays.

    A model whose name tells no quantization has an empty key.
    """
    found: dict[str, tuple[str, ...]] = {}
    for parts in models(files):
        found.setdefault(of_file(parts[0]), parts)
    return found


def _unsplit(path: PurePosixPath) -> tuple[str, int]:
    """The name without suffix and split number, and of how many files the model consists."""
    split = _SPLIT.match(path.stem)
    return (split[1], int(split[3])) if split else (path.stem, 1)
