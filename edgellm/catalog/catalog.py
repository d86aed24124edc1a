"""The models known by name: `models.toml` read into frozen structs, and names, aliases and paths resolved."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgellm.catalog.reference import looks_like_path as looks_like_path
from edgellm.catalog.sources import (
    Count,
    FileSource as FileSource,
    PackageSource as PackageSource,
    Part as Part,
    Source as Source,
    Sum,
)
from edgellm.errors import ConfigError, ModelNotFound
from edgellm.request import SamplingParams

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z")]
FileName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?\Z")]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model and where it can be had, whichever of the `sources`, which are tried in order.

    `context` counts tokens. `sampling` is what the model's makers recommend. `file`, `bytes` and `sha256` tell the
    file that packages and copies give; without such sources they are empty, and the hub knows them.
    """

    name: Name
    title: str
    family: str
    license: str
    context: Count
    parameters: Count
    quantization: str
    file: FileName = ""
    bytes: Annotated[int, Meta(ge=0)] = 0
    sha256: Sum = ""
    aliases: tuple[Name, ...] = ()
    sampling: SamplingParams = SamplingParams()
    sources: Annotated[tuple[Source, ...], Meta(min_length=1)]


class Catalog(msgspec.Struct, frozen=True):
    """Entries by name, in the file's order, and the alias of each alias."""

    entries: dict[str, Entry]
    aliases: dict[str, str]

    def resolve(self, text: str) -> Entry | Path:
        """The file at `text` if there is one, else the model with that name or alias. Raises ModelNotFound."""
        path = Path(text).expanduser()
        if text and _is_file(path):
            return path
        entry = self.named(text)
        if entry is None:
            raise ModelNotFound(self._advice(text))
        return entry

    def named(self, text: str) -> Entry | None:
        """The model with this name or alias; upper and lower case are the same."""
        name = text.strip().lower()
        return self.entries.get(name) or self.entries.get(self.aliases.get(name, ""))

    def _advice(self, text: str) -> str:
        if looks_like_path(text):
            return f"there is no file {text!r}. Check the path, or name a model that `edgellm models` lists."
        close = get_close_matches(text.lower(), [*self.entries, *self.aliases], n=3, cutoff=0.5)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        return f"no model is called {text!r}.{meant} `edgellm models` lists them; a path of a GGUF file works too."


def load(file: Path) -> Catalog:
    """Read and check a catalog. Raises ConfigError that says which model and key is wrong."""
    try:
        models = msgspec.toml.decode(file.read_bytes(), type=dict[str, dict[str, dict[str, Any]]]).get("models", {})
        entries = {name: _entry(name, table) for name, table in models.items()}
    except OSError as error:
        raise ConfigError(f"cannot read the catalog {file}: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the catalog {file} is wrong: {error}. Correct it.") from error
    return Catalog(entries, _aliases(entries, file))


def shipped_file() -> Path:
    """`models.toml` of this installation: inside the package in a wheel, at the top of a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models.toml"
    return inside if inside.is_file() else package.parent / "models.toml"


@cache
def shipped() -> Catalog:
    """The catalog that came with edgellm."""
    return load(shipped_file())


def resolve(text: str) -> Entry | Path:
    """`Catalog.resolve` of the shipped catalog."""
    return shipped().resolve(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long or with a character that no path can have
        return False


def _entry(name: str, table: dict[str, Any]) -> Entry:
    try:
        entry = msgspec.convert({**table, "name": name}, Entry, str_keys=True)
        _check_file(entry)
        _check_sampling(entry, table.get("sampling", {}))
    except (msgspec.ValidationError, ValueError) as error:
        raise msgspec.DecodeError(f"model {name!r}: {error}") from error
    return entry


def _check_file(entry: Entry) -> None:
    if any(isinstance(source, PackageSource | FileSource) for source in entry.sources):
        for key in ("file", "bytes", "sha256"):
            if not getattr(entry, key):
                raise ValueError(f"a model that comes in packages or as a copy needs {key}")


def _check_sampling(entry: Entry, table: dict[str, Any]) -> None:
    unknown = [key for key in table if key not in SamplingParams.__struct_fields__]
    problem = f"there is no {unknown[0]!r}" if unknown else entry.sampling.problem()
    if problem:
        raise ValueError(f"sampling: {problem}")


def _aliases(entries: dict[str, Entry], file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries.values():
        for alias in entry.aliases:
            if alias in entries or alias in found:
                raise ConfigError(f"the catalog {file} is wrong: {alias!r} names more than one model.")
            found[alias] = entry.name
    return found
