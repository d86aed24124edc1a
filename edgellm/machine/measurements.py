"""What was measured on this computer, kept on disk by what it was measured for; what cannot be read is not known."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from edgellm import paths

T = TypeVar("T")

_KIND = re.compile(r"[a-z][a-z_]*")


class Key(msgspec.Struct, frozen=True):
    """What a measurement holds for; an empty `model` or `build` where it does not depend on one."""

    model: str
    """Identity of the model's file: its size and a hash of its head."""
    build: str
    """Backend and version."""
    threads: int
    machine: str
    """`Machine.id`."""


class StepCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What one decoding step costs by how many rows (tokens) it computes."""

    milliseconds: dict[int, float]
    """By rows."""
    context: int
    """Tokens of context the rows looked back on."""
    measured_at: float
    """Seconds since 1970."""


class DecodeSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was seen to do here, for correcting predictions of others."""

    bytes_per_token: float
    """Bytes of weights and KV that one decoded token reads, as computed from the model's facts."""
    ms_per_token: float
    """Of decoding one sequence."""
    context: int
    """Tokens of context, on average, while it was measured."""
    prefill_tokens_per_s: float = 0.0
    """0 where no prompt long enough was seen."""
    active_parameters: float = 0.0
    """Of the model, those that one token is multiplied by: what reading a prompt takes goes by them."""
    tokens: int = 0
    """Decoded tokens that the figure rests on."""
    measured_at: float
    """Seconds since 1970."""


def kept() -> Measurements:
    """Those of this user, on this computer. Raises ConfigError where the cache directory cannot be made."""
    return Measurements(paths.cache_dir() / "measurements")


class _Record(msgspec.Struct, frozen=True):
    kind: str
    key: Key
    value: msgspec.Raw


class Measurements:
    """One small JSON file a key below `folder`, replaced as a whole, so that readers never see half of one.

    Writing never raises: a measurement that cannot be kept is merely taken again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, kind: str, key: Key, type_: type[T]) -> T | None:
        """What was last written for `kind` and `key`; None if nothing, or nothing that is a `type_`."""
        record = _record(self._path(kind, key))
        if record is None or record.kind != kind or record.key != key:
            return None
        return _value(record, type_)

    def write(self, kind: str, key: Key, value: msgspec.Struct) -> None:
        """Keep `value` in place of what was known."""
        content = msgspec.json.encode(_Record(kind, key, msgspec.Raw(msgspec.json.encode(value))))
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path(kind, key), content)

    def all(self, kind: str, type_: type[T]) -> list[tuple[Key, T]]:
        """Everything known of `kind`, whatever its key, in no particular order."""
        return list(self._each(kind, type_))

    def _each(self, kind: str, type_: type[T]) -> Iterator[tuple[Key, T]]:
        assert _KIND.fullmatch(kind), kind
        for path in sorted(self.folder.glob(f"{kind}-*.json")):
            record = _record(path)
            value = _value(record, type_) if record is not None and record.kind == kind else None
            if record is not None and value is not None:
                yield record.key, value

    def _path(self, kind: str, key: Key) -> Path:
        assert _KIND.fullmatch(kind), kind
        return self.folder / f"{kind}-{blake2b(msgspec.json.encode(key), digest_size=12).hexdigest()}.json"


def _record(path: Path) -> _Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _value(record: _Record, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(record.value, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
