"""Models that other programs keep on this machine, to be used where they lie: of Ollama, LM Studio and the hub's cache.

Nothing is read but folders, manifests and the first bytes of files; what is damaged, incomplete or foreign is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from edgellm.catalog import gguf_split, json_file, mlx_config, onnx_facts
from edgellm.catalog.byte_source import FileBytes
from edgellm.catalog.gguf import MAGIC
from edgellm.errors import EdgeLLMError

Origin = Literal["ollama", "lm-studio", "hub"]

_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_DEFAULT_REGISTRY, _DEFAULT_OWNER = "registry.ollama.ai", "library"
_REVISION = re.compile(r"[0-9A-Za-z._-]{1,128}\Z")
_DEEPEST, _MOST_FOLDERS = 6, 20_000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`name` as its own program writes it; `path` is a file, or a folder for MLX and ONNX; `bytes` of all its files."""

    name: str
    origin: Origin
    path: Path
    bytes: int
    format: Literal["gguf", "mlx", "onnx"] = "gguf"


def models(environ: Mapping[str, str], home: Path) -> list[Found]:
    """Every model found, by origin and name. Never raises for what lies there."""
    found = [*_of_ollama(environ, home), *_of_lm_studio(home), *_of_hub(environ, home)]
    return sorted(found, key=lambda model: (model.origin, model.name))


def _of_ollama(environ: Mapping[str, str], home: Path) -> Iterator[Found]:
    """Manifests lie at REGISTRY/OWNER/NAME/TAG and name blobs by their sums."""
    top = _chosen(environ.get("OLLAMA_MODELS"), home) or home / ".ollama" / "models"
    manifests = top / "manifests"
    for folder, names in _folders(manifests):
        parts = folder.relative_to(manifests).parts
        if len(parts) != 3:
            continue
        for tag in names:
            blob = _blob(folder / tag, top / "blobs")
            if blob is not None:
                name = _ollama_name(parts[0], parts[1], parts[2], tag)
                yield Found(name=name, origin="ollama", path=blob, bytes=_size(blob))


class _Layer(msgspec.Struct):
    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""
    size: int = 0


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


def _blob(manifest: Path, blobs: Path) -> Path | None:
    """The model's one file, whole; None when the manifest has none, or is not to be trusted."""
    try:
        layers = [layer for layer in json_file.read(manifest, _Manifest).layers if layer.media_type == _MODEL]
    except EdgeLLMError:
        return None
    digest = _DIGEST.match(layers[0].digest) if len(layers) == 1 else None
    if digest is None:
        return None
    blob = blobs / f"sha256-{digest[1]}"
    return blob if _size(blob) == layers[0].size and _is_gguf(blob) else None


def _ollama_name(registry: str, owner: str, name: str, tag: str) -> str:
    if registry != _DEFAULT_REGISTRY:
        return f"{registry}/{owner}/{name}:{tag}"
    return f"{name}:{tag}" if owner == _DEFAULT_OWNER else f"{owner}/{name}:{tag}"


def _of_lm_studio(home: Path) -> Iterator[Found]:
    """Files lie at OWNER/REPOSITORY/FILE."""
    for top in _lm_studio_folders(home):
        for folder, names in _folders(top, deepest=3):
            prefix = folder.relative_to(top).as_posix()
            yield from _in_folder(folder, names, prefix, "lm-studio")


class _LmStudioSettings(msgspec.Struct):
    downloads: str = msgspec.field(name="downloadsFolder", default="")


def _lm_studio_folders(home: Path) -> list[Path]:
    """Where its models lie: below its own folder, which may be elsewhere, or where its settings say."""
    try:
        pointed = (home / ".lmstudio-home-pointer").read_bytes()[:4096].decode("utf-8", "replace").strip()
    except OSError:
        pointed = ""
    own = _chosen(pointed, home) or home / ".lmstudio"
    try:
        chosen = _chosen(json_file.read(own / "settings.json", _LmStudioSettings).downloads, home)
    except EdgeLLMError:
        chosen = None
    folders = [own / "models", home / ".cache" / "lm-studio" / "models"]
    if chosen is not None and chosen.is_absolute():
        folders.append(chosen)
    return list(dict.fromkeys(folders))


def _of_hub(environ: Mapping[str, str], home: Path) -> Iterator[Found]:
    """Files lie at models--OWNER--REPOSITORY/snapshots/REVISION/FILE, as links to the cache's blobs."""
    top = _hub_folder(environ, home)
    for repository in _children(top):
        kind, _, name = repository.name.partition("--")
        if kind != "models" or not name:
            continue
        seen: set[str] = set()
        for snapshot in _snapshots(repository):
            for folder, names in _folders(snapshot):
                inside = folder.relative_to(snapshot).parts
                prefix = "/".join((name.replace("--", "/"), *inside))
                fresh = [model for model in _in_folder(folder, names, prefix, "hub") if model.name not in seen]
                seen.update(model.name for model in fresh)
                yield from fresh


def _hub_folder(environ: Mapping[str, str], home: Path) -> Path:
    """As huggingface_hub's constants choose it."""
    for variable, below in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if chosen := _chosen(environ.get(variable), home):
            return chosen / below
    return home / ".cache" / "huggingface" / "hub"


def _snapshots(repository: Path) -> list[Path]:
    """All revisions, the one that `main` means first."""
    try:
        main = (repository / "refs" / "main").read_bytes()[:128].decode("ascii", "replace").strip()
    except OSError:
        main = ""
    found = [path for path in _children(repository / "snapshots") if _REVISION.match(path.name)]
    return sorted(found, key=lambda path: (path.name != main, path.name))


def _in_folder(folder: Path, names: list[str], prefix: str, origin: Origin) -> Iterator[Found]:
    """The models that lie right in `folder`: GGUF files one by one, or the folder as a whole."""
    if onnx_facts.SETTINGS in names:
        yield Found(name=prefix, origin=origin, path=folder, bytes=_sizes(folder, names), format="onnx")
    elif mlx_config.SETTINGS in names and _is_mlx(folder, names, prefix):
        yield Found(name=prefix, origin=origin, path=folder, bytes=_sizes(folder, names), format="mlx")
    for name in names:
        parts = gguf_split.part_names(name)
        if not name.lower().endswith(".gguf") or "mmproj" in name.lower() or name != parts[0]:
            continue
        if set(parts) <= set(names) and all(_is_gguf(folder / part) for part in parts):
            full = f"{prefix}/{name}".removeprefix("./")
            yield Found(name=full, origin=origin, path=folder / name, bytes=_sizes(folder, list(parts)))


def _is_mlx(folder: Path, names: list[str], prefix: str) -> bool:
    """Weights for other programs look alike: ask for the settings that MLX adds, or for its name."""
    if not any(name.endswith(".safetensors") for name in names):
        return False
    try:
        return "mlx" in prefix.lower() or "quantization" in json_file.read(
            folder / mlx_config.SETTINGS, dict[str, object]
        )
    except EdgeLLMError:
        return False


def _folders(top: Path, deepest: int = _DEEPEST) -> Iterator[tuple[Path, list[str]]]:
    """`top` and what is below it, not too deep and not through links, each with the names of its files."""
    for count, (folder, below, names) in enumerate(os.walk(top)):
        if count >= _MOST_FOLDERS:
            return
        path = Path(folder)
        below[:] = sorted(below) if len(path.relative_to(top).parts) < deepest else []
        yield path, sorted(names)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _chosen(value: str | None, home: Path) -> Path | None:
    """The folder that a variable names; `~` is `home`."""
    if not value or "\0" in value:
        return None
    return home / value[1:].lstrip("/\\") if value.startswith("~") else Path(value)


def _sizes(folder: Path, names: list[str]) -> int:
    return sum(max(_size(folder / name), 0) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def _is_gguf(path: Path) -> bool:
    try:
        with FileBytes(path) as source:
            return source.read(0, len(MAGIC)) == MAGIC
    except EdgeLLMError:
        return False
