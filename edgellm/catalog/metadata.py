"""Reads what a model is from its files, without loading it: `facts` of a GGUF file, an MLX folder or an ONNX folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgellm.catalog import gguf_facts, gguf_split, mlx_facts, onnx_encoder_facts, onnx_facts
from edgellm.catalog.byte_source import ByteSource, FileBytes
from edgellm.catalog.model_facts import LayerFacts, ModelFacts
from edgellm.errors import LoadError, ModelNotFound, NotAModel

__all__ = ["LayerFacts", "ModelFacts", "facts", "facts_at"]


def facts(path: Path) -> ModelFacts:
    """What the model at `path` is: a GGUF file (any part of a split one), or a folder with a model in it.

    Reads headers and settings only, in well under a second. Raises ModelNotFound, NotAModel, UnsupportedModel or
    LoadError, each with the path and the reason.
    """
    if _is_folder(path):
        try:
            return _facts_of_folder(path)
        except OSError as error:
            raise LoadError(f"cannot read {path}: {error.strerror or error}. Check its permissions.") from error
    return gguf_facts.facts(gguf_split.read_all(str(path), _open_file, gguf_facts.MARKS))


def facts_at(url: str, *, headers: Mapping[str, str] | None = None) -> ModelFacts:
    """What the GGUF model at `url` is, from a few ranges of it: its header, or all headers of a split one.

    `headers` go with every request to the origin of `url`, a token for example. This uses the network whatever the
    settings say: callers see to offline mode. Raises DownloadError and what `facts` raises.
    """
    from edgellm.catalog.http_bytes import HttpBytes  # it takes a while to import

    @contextmanager
    def opened(name: str) -> Iterator[ByteSource]:
        with HttpBytes(name + query, headers) as source:
            yield source

    address, mark, rest = url.partition("?")
    query = mark + rest
    return gguf_facts.facts(gguf_split.read_all(address, opened, gguf_facts.MARKS))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # opening it as a file will say what is wrong with the name
        return False


@contextmanager
def _open_file(name: str) -> Iterator[ByteSource]:
    with FileBytes(Path(name)) as source:
        yield source


def _facts_of_folder(folder: Path) -> ModelFacts:
    if (folder / onnx_facts.SETTINGS).is_file():
        return onnx_facts.facts(folder)
    if onnx_encoder_facts.holds_encoder(folder):
        return onnx_encoder_facts.facts(folder)
    if mlx_facts.holds_model(folder):
        return mlx_facts.facts(folder)
    first = _gguf_in(folder)
    if first is None:
        raise ModelNotFound(f"there is no model in the folder {folder}. Name a GGUF file, or another folder.")
    return facts(first)


def _gguf_in(folder: Path) -> Path | None:
    """The one GGUF model in `folder`, or its first part; files that only add an image encoder do not count."""
    files = sorted(path for path in folder.glob("*.gguf") if "mmproj" not in path.name.lower())
    firsts = list(dict.fromkeys(gguf_split.part_names(str(path))[0] for path in files))
    if len(firsts) > 1:
        raise NotAModel(f"there are {len(firsts)} models in the folder {folder}. Name one of the files.")
    return Path(firsts[0]) if firsts else None
