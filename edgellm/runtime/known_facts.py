"""What a model file on this machine is, remembered between runs, because reading a long header takes a moment."""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b
from pathlib import Path

import msgspec

from edgellm import paths
from edgellm.catalog.metadata import ModelFacts, facts
from edgellm.errors import ConfigError

_FORM = 2
"""To be raised when facts come to mean something else."""


def facts_of(path: Path) -> ModelFacts:
    """`facts(path)`, without the template. Raises what it raises; that nothing can be remembered is no error."""
    place = _place(path)
    if place is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(place.read_bytes(), type=ModelFacts)
    found = msgspec.structs.replace(facts(path), template=None)
    if place is not None:
        with contextlib.suppress(OSError):
            _keep(place, msgspec.json.encode(found))
    return found


def _place(path: Path) -> Path | None:
    """Where the facts of this very file are kept; None for folders and what cannot be read."""
    try:
        status = path.stat()
        folder = paths.cache_dir() / "facts"
    except (OSError, ConfigError):
        return None
    if path.is_dir():
        return None
    text = f"{_FORM} {path.absolute()} {status.st_size} {status.st_mtime_ns}"
    return folder / f"{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}.json"


def _keep(place: Path, content: bytes) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = place.with_suffix(f".{os.getpid()}.new")
    temporary.write_bytes(content)
    temporary.replace(place)
