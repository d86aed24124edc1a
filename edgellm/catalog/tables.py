"""`models.toml` files read, laid over each other and checked; every error names the file, the model and the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgellm.catalog import reference
from edgellm.catalog.entry import Entry
from edgellm.catalog.upstream import Upstream
from edgellm.errors import ConfigError, ModelNotFound
from edgellm.request import SamplingParams

Table = dict[str, Any]


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """One file as it was written: tables of models and upstreams, not checked yet, and what each alias may mean."""

    models: dict[str, Table] = {}
    aliases: dict[str, list[str]] = {}
    upstreams: dict[str, Table] = {}


class Merged(msgspec.Struct, frozen=True):
    """All files together, checked."""

    entries: dict[str, Entry]
    choices: dict[str, tuple[str, ...]]
    upstreams: dict[str, Upstream]


def merged(files: Sequence[Path]) -> Merged:
    """Later files go over earlier ones, key by key. Raises ConfigError."""
    models: dict[str, Table] = {}
    homes: dict[str, Path] = {}
    choices: dict[str, tuple[str, ...]] = {}
    upstreams: dict[str, Upstream] = {}
    for file in files:
        written = _read(file)
        for name, table in written.models.items():
            models[name] = {**models.get(name, {}), **table}
            homes[name] = file
        choices |= {alias: _choice(file, alias, texts) for alias, texts in written.aliases.items()}
        upstreams |= {name: _upstream(file, name, table) for name, table in written.upstreams.items()}
    entries = {name: _entry(name, table, homes[name]) for name, table in models.items()}
    for entry in entries.values():
        if entry.draft is not None and entry.draft not in entries:
            raise _wrong(homes[entry.name], f"model {entry.name!r}: draft: there is no model {entry.draft!r}")
    return Merged(entries, choices, upstreams)


def _read(file: Path) -> Written:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Written)
    except OSError as error:
        raise ConfigError(f"cannot read the catalog {file}: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(file, str(error)) from error


def _entry(name: str, table: Table, file: Path) -> Entry:
    try:
        entry = msgspec.convert({**table, "name": name}, Entry, str_keys=True)
    except msgspec.ValidationError as error:
        raise _wrong(file, f"model {name!r}: {error}") from error
    sampling = table.get("sampling", {})
    unknown = [key for key in sampling if key not in SamplingParams.__struct_fields__]
    problem = f"sampling: there is no {unknown[0]!r}" if unknown else entry.problem()
    if problem:
        raise _wrong(file, f"model {name!r}: {problem}")
    return entry


def _upstream(file: Path, name: str, table: Table) -> Upstream:
    try:
        upstream = msgspec.convert({**table, "name": name}, Upstream)
    except msgspec.ValidationError as error:
        raise _wrong(file, f"upstream {name!r}: {error}") from None
    problem = "it is the model hub's own name" if name in reference.HOSTS else upstream.problem()
    if problem:
        raise _wrong(file, f"upstream {name!r}: {problem}")
    return upstream


def _choice(file: Path, alias: str, texts: list[str]) -> tuple[str, ...]:
    try:
        known_as = reference.parse(alias)
        for text in texts:
            reference.parse(text)
    except ModelNotFound as error:
        raise _wrong(file, f"aliases: {alias!r}: {str(error).rstrip('.')}") from error
    if not isinstance(known_as, reference.NameReference) or str(known_as) != alias:
        raise _wrong(file, f"aliases: {alias!r} must be a name in lower case")
    if not texts:
        raise _wrong(file, f"aliases: {alias!r} stands for nothing")
    return tuple(texts)


def _wrong(file: Path, problem: str) -> ConfigError:
    return ConfigError(f"the catalog {file} is wrong: {problem}. Correct it.")
