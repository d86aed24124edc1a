"""Builds small wheels in a directory that pip can use as its only index, so that tests fetch with the real pip."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgellm.catalog.catalog import Entry, PackageSource, Part


def build(directory: Path, name: str, files: Mapping[str, bytes], version: str = "1.0") -> Path:
    """A wheel of the package `name` that holds `files` by their paths."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    wheel = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def entry_of(content: bytes, parts: list[tuple[str, str]], **changes: object) -> Entry:
    """A model called `tiny` with this content, from (package name, member) parts of version 1.0."""
    source = PackageSource(
        parts=tuple(Part(requirement=f"{name}==1.0", member=member, wheel_bytes=1000) for name, member in parts)
    )
    values: dict[str, object] = {
        "name": "tiny",
        "title": "Tiny",
        "family": "tiny",
        "license": "MIT",
        "context": 512,
        "parameters": 1,
        "quantization": "F16",
        "file": "tiny.gguf",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sources": (source,),
    }
    return Entry(**(values | changes))  # type: ignore[arg-type]
