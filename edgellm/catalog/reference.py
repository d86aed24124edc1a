"""What a person may write to mean a model, parsed by its shape alone: nothing is looked up, on disk or anywhere."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

import msgspec

from edgellm.catalog import quantization as quantizations
from edgellm.catalog.sources import FILE, REVISION, is_repository
from edgellm.errors import ModelNotFound

LONGEST = 4096
HOSTS = ("hf.co", "huggingface.co", "www.huggingface.co")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}\Z")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class PathReference(msgspec.Struct, frozen=True, tag="path"):
    """A file or folder of this machine, as it was written."""

    path: str

    def __str__(self) -> str:
        return self.path


class NameReference(msgspec.Struct, frozen=True, tag="name"):
    """A name or alias, in lower case; `quantization` is empty unless one was asked for."""

    name: str
    quantization: str = ""

    def __str__(self) -> str:
        return _tagged(self.name, self.quantization)


class HubReference(msgspec.Struct, frozen=True, tag="hub"):
    """A repository of the model hub, `user/repository`; one quantization or one file of it if that was asked for."""

    repository: str
    quantization: str = ""
    file: str = ""
    revision: str = "main"

    def __str__(self) -> str:
        if self.file or self.revision != "main":
            revision = quote(self.revision, safe="")
            tail = f"resolve/{revision}/{quote(self.file)}" if self.file else f"tree/{revision}"
            return f"https://huggingface.co/{self.repository}/{tail}"
        return _tagged(self.repository, self.quantization)


class UrlReference(msgspec.Struct, frozen=True, tag="url"):
    """The address of a GGUF file."""

    url: str

    def __str__(self) -> str:
        return self.url


class UpstreamReference(msgspec.Struct, frozen=True, tag="upstream"):
    """A model of an upstream, as that calls it or nearly so; "" is the only one it has."""

    upstream: str
    model: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model}"


Reference = PathReference | NameReference | HubReference | UrlReference | UpstreamReference


def parse(text: str) -> Reference:
    """The reference that `text` is by its shape; a file or folder that exists may still be what is meant.

    `name`, `name:Q5_K_M`; `user/repository`, `hf.co/user/repository:Q5_K_M`, a page of the hub; `https://...gguf`;
    anything else with a slash, a leading `.` or `~`, or the ending `.gguf` is a path. Raises ModelNotFound.
    """
    text = text.strip()
    if not text:
        raise ModelNotFound("no model is named. `edgellm models` lists those with a name.")
    if len(text) > LONGEST or not text.isprintable():
        raise ModelNotFound(
            f"{_short(text)} names no model: it is too long or has characters that no name or path has. Correct it."
        )
    if scheme := _SCHEME.match(text):
        return _address(text, scheme[1].lower())
    host, _, rest = text.partition("/")
    if host.lower() in HOSTS:
        return _hub(rest, text)
    if looks_like_path(text):
        return PathReference(text)
    return _hub(text, text) if "/" in text else _name(text)


def looks_like_path(text: str) -> bool:
    """Whether somebody who wrote `text` meant a file or folder, and not a name or a repository."""
    if "\\" in text or text.startswith((".", "~", "/")) or _DRIVE.match(text):
        return True
    return text.lower().endswith(".gguf") or text.count("/") > 1 or text.endswith("/")


def _name(text: str) -> NameReference:
    name, colon, tag = text.partition(":")
    if not _NAME.match(name.lower()) or ".." in name or (colon and not _TAG.match(tag)):
        raise ModelNotFound(
            f"no model is called {_short(text)}: names have letters, digits, '.', '_' and '-', and a quantization "
            "comes after a colon, as in name:Q5_K_M. `edgellm models` lists them; a path of a GGUF file works too."
        )
    return NameReference(name.lower(), quantizations.normal(tag))


def _hub(place: str, text: str) -> HubReference:
    """`user/repository[:TAG]`, or `user/repository/path/of/a/file.gguf`."""
    place, colon, tag = place.partition(":")
    words = place.rstrip("/").split("/")
    repository, file = "/".join(words[:2]), "/".join(words[2:])
    if not is_repository(repository) or (colon and (file or not _TAG.match(tag))):
        raise _no_repository(text)
    if file:
        return HubReference(repository, file=_model_file(file, text))
    return HubReference(repository, quantizations.normal(tag))


def _address(text: str, scheme: str) -> Reference:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ModelNotFound(f"{_short(text)} is no address: {error}. Correct it.") from None
    if scheme != "https":
        raise ModelNotFound(f"{_short(text)} cannot be used: only addresses that begin with https:// can.")
    if not host or "@" in parts.netloc or not text.isascii() or any(letter in text for letter in " \"'<>\\^`{|}"):
        raise ModelNotFound(f"{_short(text)} is no address of a model file. Correct it; it must hold no password.")
    if host in HOSTS:
        return _hub_page(parts.path.strip("/"), text)
    if not parts.path.lower().endswith(".gguf"):
        raise ModelNotFound(f"{_short(text)} is not the address of a GGUF file: its path must end in .gguf.")
    if ".." in unquote(parts.path).replace("\\", "/").split("/"):
        raise ModelNotFound(f"{_short(text)} is no address of a model file: '..' leads nowhere. Correct it.")
    return UrlReference(text)


def _hub_page(path: str, text: str) -> HubReference:
    """What the address bar shows: the repository, its files at a revision, or one file, seen or downloaded."""
    words = [unquote(word) for word in path.split("/")]
    if len(words) < 4 or words[2] not in ("resolve", "blob", "tree"):
        return _hub("/".join(words), text)
    repository, revision, file = "/".join(words[:2]), words[3], "/".join(words[4:])
    if not is_repository(repository) or not re.fullmatch(REVISION, revision):
        raise _no_repository(text)
    return HubReference(repository, file=_model_file(file, text) if file else "", revision=revision)


def _model_file(file: str, text: str) -> str:
    if not re.fullmatch(FILE, file) or not file.lower().endswith(".gguf"):
        raise ModelNotFound(f"{_short(text)} is not a GGUF file of a repository. Name the repository or such a file.")
    return file


def _no_repository(text: str) -> ModelNotFound:
    return ModelNotFound(
        f"{_short(text)} names no repository of the model hub: write user/repository, or user/repository:Q5_K_M for "
        "one quantization."
    )


def _tagged(name: str, tag: str) -> str:
    return f"{name}:{tag}" if tag else name


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
