"""The models known by name: `models.toml`, the user's own over the shipped one, and what somebody writes, resolved."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgellm import paths
from edgellm.catalog import aliases as moved_aliases, model_folder, reference as references, tables
from edgellm.catalog.entry import Entry as Entry
from edgellm.catalog.reference import (
    HubReference,
    NameReference,
    PathReference,
    Reference,
    UpstreamReference,
    UrlReference,
    looks_like_path as looks_like_path,
)
from edgellm.catalog.sources import (
    FileSource as FileSource,
    HubSource as HubSource,
    PackageSource as PackageSource,
    Part as Part,
    Source as Source,
    UrlSource as UrlSource,
)
from edgellm.catalog.upstream import Upstream
from edgellm.errors import ConfigError, ModelNotFound

Target = Entry | Path | HubReference | UrlReference
"""What a text turned out to mean: a known model, something on this machine, or something to be had elsewhere."""


class Catalog(msgspec.Struct, frozen=True):
    """Entries by name, in the file's order, and the name of each of their other names.

    `choices` are the names that stand for whichever model suits: what each may mean, from large to small, as somebody
    would write it.
    """

    entries: dict[str, Entry]
    aliases: dict[str, str]
    choices: dict[str, tuple[str, ...]] = {}
    upstreams: dict[str, Upstream] = {}

    def resolve(self, text: str) -> Target:
        """What is on this machine under `text` if anything is, else what it names. Raises ModelNotFound.

        Of an alias that may mean several models this is the smallest; `candidates` has them all.
        """
        path = here(text)
        return path if path is not None else self._target(self.candidates(text)[-1], text)

    def target(self, reference: Reference) -> Target:
        """What one reference means. Raises ModelNotFound."""
        return self._target(reference, str(reference))

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """All that `text` may mean, from large to small: several for an alias, else one. Raises ModelNotFound."""
        return tuple(dict.fromkeys(self._expanded(self.parsed(text), ())))

    def parsed(self, text: str) -> Reference:
        """The reference that `text` is; NAME/MODEL is a model of the upstream NAME if there is one, else as its shape
        says. Raises ModelNotFound."""
        name, slash, model = text.strip().partition("/")
        if slash and name.lower() in self.upstreams and len(text) <= references.LONGEST and text.isprintable():
            return UpstreamReference(name.lower(), model)
        return references.parse(text)

    def named(self, text: str) -> Entry | None:
        """The model with this name or alias; upper and lower case are the same."""
        name = text.strip().lower()
        return self.entries.get(name) or self.entries.get(self.aliases.get(name, ""))

    def of_repository(self, repository: str) -> Entry | None:
        """The model that comes from this repository of the hub, if one of the entries does."""
        of_hub = ((entry, source) for entry in self.entries.values() for source in entry.sources)
        wanted = repository.lower()
        return next((e for e, s in of_hub if isinstance(s, HubSource) and s.repository.lower() == wanted), None)

    def _target(self, reference: Reference, text: str) -> Target:
        match reference:
            case HubReference() | UrlReference():
                return reference
            case UpstreamReference(upstream=name):
                raise ModelNotFound(
                    f"{text} means a model of the upstream {name}, of which there are no files here. `edgellm run`, "
                    "`chat` and `serve` take it."
                )
            case PathReference(path=path):
                found = here(path)
                if found is None:
                    raise ModelNotFound(self.advice(text))
                return found
            case NameReference(name=name, quantization=quantization):
                if name not in self.entries:
                    raise ModelNotFound(self.advice(text))
                return self.entries[name].at(quantization)

    def _expanded(self, reference: Reference, seen: tuple[str, ...]) -> Iterable[Reference]:
        """`reference` with every alias replaced by what it stands for."""
        if not isinstance(reference, NameReference) or reference.name in self.entries:
            return (reference,)
        name = reference.name
        if name in seen:
            raise ConfigError(
                f"the alias {seen[0]!r} leads to itself ({' -> '.join((*seen, name))}). "
                f"Move one of them: `edgellm alias {name} MODEL`."
            )
        if f"{name}-{reference.quantization}".lower() in self.entries:  # family:size, as others write it
            return (NameReference(f"{name}-{reference.quantization}".lower()),)
        meant = self.choices.get(name) or ((self.aliases[name],) if name in self.aliases else ())
        if not meant:
            return (reference,)
        parsed = (_with_quantization(self.parsed(text), reference.quantization) for text in meant)
        return [found for each in parsed for found in self._expanded(each, (*seen, name))]

    def advice(self, text: str, others: Iterable[str] = ()) -> str:
        """What to tell somebody for whom nothing was found; `others` are further names that exist here."""
        text = text.strip()
        if looks_like_path(text):
            return f"there is no file {text!r}. Check the path, or name a model that `edgellm models` lists."
        known = {name.lower(): name for name in (*self.entries, *self.aliases, *self.choices, *others)}
        close = [known[name] for name in get_close_matches(text.lower(), known, n=3, cutoff=0.5)]
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        return f"no model is called {text!r}.{meant} `edgellm models` lists them; a path of a GGUF file works too."


def here(text: str) -> Path | None:
    """The model file or folder at this path, if there is one; a bare name means a file only, never a folder."""
    path = Path(text.strip()).expanduser() if text.strip() else None
    if path is None or not model_folder.exists(path):
        return None
    bare = not looks_like_path(text.strip()) and "/" not in text
    return None if bare and path.is_dir() else model_folder.model_at(path)


def load(*files: Path) -> Catalog:
    """Read and check a catalog; what later files say of a model goes over what earlier ones say.

    Raises ConfigError that says which file, model and key is wrong.
    """
    merged = tables.merged(files)
    others: dict[str, str] = {}
    for entry in merged.entries.values():
        for alias in entry.aliases:
            if alias in merged.entries or alias in others:
                raise ConfigError(f"the catalog {files[-1]} is wrong: {alias!r} names more than one model.")
            others[alias] = entry.name
    for alias in merged.choices:
        if alias in merged.entries:
            raise ConfigError(f"the catalog {files[-1]} is wrong: aliases: {alias!r} is the name of a model.")
    return Catalog(merged.entries, others, merged.choices, merged.upstreams)


def shipped_file() -> Path:
    """`models.toml` of this installation: inside the package in a wheel, at the top of a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models.toml"
    return inside if inside.is_file() else package.parent / "models.toml"


def own_file() -> Path:
    """The user's own `models.toml`; it need not exist."""
    return paths.config_file().with_name("models.toml")


@cache
def shipped() -> Catalog:
    """The catalog that came with edgellm."""
    return load(shipped_file())


def current() -> Catalog:
    """The catalog in force: the shipped one, the user's own `models.toml` over it, and the aliases they moved."""
    own = own_file()
    try:
        status = own.stat()
        catalog = _laid_over(own, status.st_mtime_ns, status.st_size)
    except OSError:
        catalog = shipped()
    moved = moved_aliases.read()
    return replace(catalog, choices={**catalog.choices, **moved}) if moved else catalog


@lru_cache(maxsize=4)
def _laid_over(own: Path, mtime_ns: int, size: int) -> Catalog:
    """The shipped one and `own`, read again once that has changed."""
    return load(shipped_file(), own)


def resolve(text: str) -> Target:
    """`Catalog.resolve` of the catalog in force."""
    return current().resolve(text)


def alias_candidates(name: str) -> tuple[Reference, ...]:
    """`Catalog.candidates` of the catalog in force: what an alias may mean, from large to small."""
    return current().candidates(name)


def _with_quantization(reference: Reference, quantization: str) -> Reference:
    """`reference` in the quantization that was asked for with an alias, unless it has one of its own."""
    if quantization and isinstance(reference, NameReference) and not reference.quantization:
        return replace(reference, quantization=quantization)
    if quantization and isinstance(reference, HubReference) and not (reference.quantization or reference.file):
        return replace(reference, quantization=quantization)
    return reference
