"""Aliases that the user moved or made: a small TOML file beside the settings, which `edgellm alias` writes."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from edgellm import paths
from edgellm.catalog import in_place, reference
from edgellm.catalog.reference import NameReference, UpstreamReference
from edgellm.errors import ConfigError, ModelNotFound
from edgellm.telemetry import log

if TYPE_CHECKING:
    from edgellm.catalog.catalog import Catalog

_HEAD = "What edgellm's aliases stand for where `edgellm alias` moved them; `edgellm alias --reset` undoes it."
_log = log.get("catalog")


def own_file() -> Path:
    """Where moved aliases are kept; the file need not exist."""
    return paths.config_file().with_name("aliases.toml")


def read() -> dict[str, tuple[str, ...]]:
    """What each moved alias stands for. Raises ConfigError that names the file and the alias."""
    file = own_file()
    try:
        texts = msgspec.toml.decode(file.read_bytes(), type=dict[str, str])
        for alias, text in texts.items():
            check_name(alias)
            reference.parse(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}. Make it a readable file.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ModelNotFound) as error:
        problem = str(error).rstrip(".")
        raise ConfigError(f"{file} is wrong: {problem}. Correct it, or `edgellm alias --reset`.") from error
    return {alias: (text,) for alias, text in texts.items()}


def check_name(alias: str) -> str:
    """`alias` as it is kept. Raises ModelNotFound when it cannot be one."""
    parsed = reference.parse(alias)
    if not isinstance(parsed, NameReference) or parsed.quantization:
        raise ModelNotFound(f"{alias!r} cannot be an alias: an alias has letters, digits, '.', '_' and '-' only.")
    return parsed.name


def move(alias: str, target: str, catalog: Catalog) -> None:
    """Let `alias` stand for `target`, as somebody would write it; a path is kept whole.

    Raises ModelNotFound when there is no such model, ConfigError when the alias would lead to itself, or is a model's
    own name.
    """
    name = check_name(alias)
    if name in catalog.entries:
        raise ConfigError(f"{name!r} is the name of a model and cannot stand for another. Choose another alias.")
    kept = _kept(target, catalog)
    changed = replace(catalog, choices={**catalog.choices, name: (kept,)})
    changed.candidates(name)  # raises if it leads to itself
    _write(read() | {name: (kept,)})
    _log.info("alias moved", alias=name, before=list(catalog.choices.get(name, ())), after=kept)


def reset(alias: str | None = None) -> tuple[str, ...]:
    """Undo what was moved, all of it if no alias is named. Returns the aliases that this changed."""
    if alias is None:  # helps with a file that cannot be read, too
        try:
            names = tuple(read())
        except ConfigError:
            names = ("all",)
        own_file().unlink(missing_ok=True)
    else:
        moved = read()
        names = (check_name(alias),) if moved.pop(check_name(alias), None) else ()
        if names:
            _write(moved)
    if names:
        _log.info("aliases reset", aliases=list(names))
    return names


def _kept(target: str, catalog: Catalog) -> str:
    """How `target` is written down: as itself, but a path absolute. Raises ModelNotFound if it is nothing."""
    if isinstance(found_elsewhere := catalog.parsed(target), UpstreamReference):
        return str(found_elsewhere)
    try:
        found = catalog.resolve(target)
    except ModelNotFound:
        model = in_place.named(target, in_place.on_this_machine())
        if model is None:
            raise
        return model.name
    return str(found.absolute()) if isinstance(found, Path) else str(reference.parse(target))


def _write(moved: dict[str, tuple[str, ...]]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    for alias, (text,) in sorted(moved.items()):
        document.add(alias, tomlkit.item(text))
    file = paths.config_dir() / own_file().name
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(tomlkit.dumps(document))
        Path(temporary).replace(file)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {file}: {error.strerror or error}. Make its directory writable.")
