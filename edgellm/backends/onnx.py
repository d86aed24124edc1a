"""ONNX Runtime as a `Backend`, through onnxruntime-genai: folders as its model builder writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Batch, Chunk, Logits
from edgellm.backends.folder_vocabulary import FolderVocabulary
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, LoadError, NotAModel, OutOfMemory, Unsupported, UnsupportedModel
from edgellm.model import ModelInfo

NAME = "ONNX Runtime"
SETTINGS = "genai_config.json"
_DEFAULT_CONTEXT = 8192
_MOST_SLOTS = 16
"""Each slot is a generator with a KV cache of its own, as long as the context from the start."""
_LEAST_ROWS = 64
_PLACES = re.compile(r".*\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ \S+ ")
_PROVIDERS = {"cuda": "CUDA", "dml": "DirectML", "qnn": "QNN", "openvino": "OpenVINO", "webgpu": "WebGPU"}
"""By their names in settings, the best first."""


class _Session(msgspec.Struct, frozen=True):
    provider_options: list[dict[str, Any]] = []
    custom_ops_library: str = ""


class _Decoder(msgspec.Struct, frozen=True):
    filename: str = ""
    session_options: _Session = _Session()


class _Model(msgspec.Struct, frozen=True):
    type: str = ""
    vocab_size: int = 0
    context_length: int = 0
    decoder: _Decoder = _Decoder()


class _Settings(msgspec.Struct):
    model: _Model


class OnnxRows:
    """Rows of every chunk, float32."""

    def __init__(self, parts: list[Any]) -> None:
        self._rows = [row for part in parts for row in part]

    def __len__(self) -> int:
        return len(self._rows)

    def wait(self) -> None: ...

    def argmax(self, row: int) -> int:
        return int(self._rows[row].argmax())

    def logits(self, row: int) -> Logits:
        return self._rows[row]  # type: ignore[no-any-return]


class OnnxBackend:
    """One model, loaded; every slot is a generator that can go back but neither copy itself nor be saved."""

    capabilities = Capabilities(copy=False, together=False)

    def __init__(self, folder: Path, settings: ModelSettings) -> None:
        import onnxruntime_genai as genai

        found = _settings(folder).model
        _check(folder, found.decoder.session_options)
        self._genai = genai
        self._model = genai.Model(_config(genai, folder, settings))
        self.vocabulary = FolderVocabulary(folder, found.vocab_size)
        trained = found.context_length or _DEFAULT_CONTEXT
        self._context = min(settings.context or _DEFAULT_CONTEXT, trained)
        slots = min(settings.slots, settings.parallel, _MOST_SLOTS)
        batch = min(settings.batch, self._context)
        self.limits = Limits(self._context * slots, slots, batch, max(settings.parallel, _LEAST_ROWS))
        self._slots: dict[int, Any] = {}
        self._lengths = [0] * slots
        self.info = ModelInfo(
            name=folder.name,
            backend=NAME,
            context_length=self._context,
            size_bytes=sum(path.stat().st_size for path in folder.glob("*.onnx*")),
            architecture=found.type,
            created=int((folder / SETTINGS).stat().st_mtime),
        )

    @classmethod
    def load(cls, folder: Path, settings: ModelSettings) -> Self:
        """Raises NotAModel, UnsupportedModel, OutOfMemory, LoadError, and Unsupported without onnxruntime-genai."""
        try:
            import onnxruntime_genai  # noqa: F401
        except ImportError as error:
            words = "onnxruntime-genai is not installed. Install it with: pip install 'edgellm[onnx]'"
            raise Unsupported(f"{words} ({error})") from error
        try:
            backend = cls(folder, settings)
            rows = backend.decode([Chunk(0, 0, (backend.vocabulary.bos or backend.vocabulary.eos or 0,))])
            backend.vocabulary.check(len(rows.logits(0)))
            backend.trim(0, 0)
        except LoadError:
            raise
        except Exception as error:  # the library raises RuntimeError for everything
            raise _load_error(folder, error) from error
        return backend

    def decode(self, batch: Batch) -> OnnxRows:
        assert len({chunk.slot for chunk in batch}) == len(batch), batch
        try:
            parts = [self._compute(chunk) for chunk in batch]
        except BackendError:
            raise
        except Exception as error:
            raise BackendError(f"decoding failed: {_first_line(error)}. Try the request again.") from error
        return OnnxRows(parts)

    def _compute(self, chunk: Chunk) -> Any:
        length = self._lengths[chunk.slot]
        assert chunk.start == length, (chunk, length)
        if length + len(chunk.tokens) > self._context:
            raise BackendError("the KV cache has no room for this step")
        generator = self._generator(chunk.slot)
        generator.append_tokens(np.asarray([chunk.tokens], np.int32))
        self._lengths[chunk.slot] += len(chunk.tokens)
        if not chunk.rows:
            return []
        rows = np.asarray(generator.get_output("logits"))[0]
        return np.array(rows[-chunk.rows :], np.float32)  # lent: the next step writes there

    def copy(self, source: int, target: int, length: int) -> None:
        raise AssertionError("a generator cannot copy itself")

    def trim(self, slot: int, length: int) -> None:
        if length >= self._lengths[slot] > 0:
            return
        if length:
            self._generator(slot).rewind_to(length)
        else:
            self._slots.pop(slot, None)
        self._lengths[slot] = length

    def save(self, slot: int) -> bytes:
        raise AssertionError("a generator cannot be saved")

    def restore(self, slot: int, state: bytes) -> None:
        raise AssertionError("a generator cannot be restored")

    def close(self) -> None:
        self._slots.clear()
        self._model = None

    def _generator(self, slot: int) -> Any:
        assert self._model is not None, "the backend is closed"
        if slot not in self._slots:
            params = self._genai.GeneratorParams(self._model)
            params.set_search_options(max_length=self._context, batch_size=1)
            self._slots[slot] = self._genai.Generator(self._model, params)
        return self._slots[slot]


def providers() -> tuple[str, ...]:
    """What the installed library can compute on, best first; empty where it is not installed."""
    try:
        import onnxruntime_genai as genai
    except ImportError:
        return ()
    import onnxruntime

    # One tells what it was built to speak to, the other what is there to answer.
    there = {name.removesuffix("ExecutionProvider").lower() for name in onnxruntime.get_available_providers()}
    asked = [short for short in _PROVIDERS if getattr(genai, f"is_{short}_available", lambda: False)()]
    return (*(_PROVIDERS[short] for short in asked if short in there), "CPU")


def build_id() -> str:
    from importlib.metadata import version

    return f"onnxruntime-genai {version('onnxruntime-genai')}; {' '.join(providers())}"


def _config(genai: Any, folder: Path, settings: ModelSettings) -> Any:
    """The folder's own settings; its provider is the one it was built for, which the library checks."""
    config = genai.Config(str(folder))
    if settings.threads:
        options = {"model": {"decoder": {"session_options": {"intra_op_num_threads": settings.threads}}}}
        config.overlay(msgspec.json.encode(options).decode())
    return config


def _check(folder: Path, session: _Session) -> None:
    """Raises UnsupportedModel for what cannot be computed here, or must not be: a library that the folder brings."""
    if session.custom_ops_library:
        raise UnsupportedModel(
            f"{folder} wants to run a library of its own, which is not allowed. Choose another model."
        )
    here = providers()
    for name in (str(name).lower() for options in session.provider_options for name in options):
        if name in _PROVIDERS and _PROVIDERS[name] not in here:
            raise UnsupportedModel(
                f"{folder} is made for {_PROVIDERS[name]}, and this computer has {' and '.join(here)} for it. "
                "Choose the version of the model that is made for CPU."
            )


def _settings(folder: Path) -> _Settings:
    try:
        return msgspec.json.decode((folder / SETTINGS).read_bytes(), type=_Settings)
    except FileNotFoundError:
        raise NotAModel(f"{folder} has no {SETTINGS}. Download the whole folder of the model.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAModel(f"{folder / SETTINGS} is damaged: {error}. Download the model again.") from error
    except OSError as error:
        raise LoadError(f"cannot read {folder}: {error.strerror or error}. Check its permissions.") from error


def _load_error(folder: Path, error: Exception) -> LoadError:
    reason = _first_line(error)
    if isinstance(error, MemoryError) or "alloc" in reason.lower():
        return OutOfMemory(f"not enough memory to load {folder}: {reason}. Set a smaller context, or a smaller model.")
    if "not supported" in reason.lower() or "provider" in reason.lower():
        return UnsupportedModel(f"{folder} cannot be run: {reason}. Choose a model built for this computer.")
    return NotAModel(f"{folder} cannot be loaded: {reason}. Download it again.")


def _first_line(error: Exception) -> str:
    """What the library says without the places in its source where it says so."""
    said = _PLACES.sub("", next(iter(str(error).splitlines()), "")).rstrip(".")
    return said or type(error).__name__
