"""MLX as a `Backend`: models in its own format, on Apple Silicon, and for trying it on processors elsewhere."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from edgellm.backends.base import Capabilities, Limits
from edgellm.backends.batch import Batch, Chunk, Logits
from edgellm.backends.folder_identity import identity
from edgellm.backends.folder_vocabulary import FolderVocabulary
from edgellm.backends.mlx_gathered import GatheredCache
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, LoadError, NotAModel, OutOfMemory, Unsupported, UnsupportedModel
from edgellm.model import ModelInfo

NAME = "MLX"
_DEFAULT_CONTEXT = 8192
_LEAST_ROWS = 64
_TIDY_EVERY = 256
"""Decodes after which MLX is told to give back memory that it keeps for later, as mlx-lm does."""
_MAGIC = b"EDGEMLX1"


class MlxRows:
    """Rows of each chunk, computed already; cast to float32 when they are looked at."""

    def __init__(self, parts: list[Any]) -> None:
        self._places = [(part, row) for part in parts for row in range(part.shape[0])]

    def __len__(self) -> int:
        return len(self._places)

    def wait(self) -> None: ...

    def argmax(self, row: int) -> int:
        part, place = self._places[row]
        return int(part[place].argmax())

    def logits(self, row: int) -> Logits:
        part, place = self._places[row]
        return part[place]  # type: ignore[no-any-return]


class _State(msgspec.Struct, frozen=True):
    """What a slot remembers: each layer's arrays as (type, shape, bytes)."""

    model: bytes
    length: int
    layers: list[list[tuple[str, list[int], bytes]]]


class MlxBackend:
    """One model, loaded; every slot has prompt caches of its own, gathered for a step where they are of the plain kind.

    A copy shares no memory with its source once either grows: `cells` bounds what the caller counts, once for both.
    """

    def __init__(self, folder: Path, settings: ModelSettings) -> None:
        import mlx.core as mx
        from mlx_lm.models import cache
        from mlx_lm.models.base import create_causal_mask
        from mlx_lm.utils import load_model

        self._mx, self._caches_of, self._causal_mask = mx, cache, create_causal_mask
        self._model, config = load_model(folder)
        width = int(config.get("vocab_size") or config.get("text_config", {}).get("vocab_size") or 0)
        self.vocabulary = FolderVocabulary(folder, width)
        trained = int(config.get("max_position_embeddings") or _DEFAULT_CONTEXT)
        cells = settings.context or min(trained, _DEFAULT_CONTEXT)
        rows = max(settings.parallel, settings.slots, _LEAST_ROWS)
        self.limits = Limits(cells, settings.slots, min(settings.batch, cells), rows)
        self._slots: dict[int, list[Any]] = {}
        self._lengths = [0] * settings.slots
        self._decodes = 0
        self._identity = build_id().encode() + identity(folder)
        fresh = cache.make_prompt_cache(self._model)
        plain = all(type(each) is cache.KVCache for each in fresh)
        trims = cache.can_trim_prompt_cache(fresh) and plain
        self.capabilities = Capabilities(copy=trims, trim=trims, together=plain, save=plain)
        self.info = _info(folder, config, min(trained, cells), self._model)

    @classmethod
    def load(cls, folder: Path, settings: ModelSettings) -> Self:
        """Raises NotAModel, UnsupportedModel, OutOfMemory, LoadError, and Unsupported where mlx-lm is not installed."""
        try:
            import mlx_lm  # noqa: F401
        except ImportError as error:
            raise Unsupported(
                f"mlx-lm is not installed ({error}). Install it with: pip install 'edgellm[mlx]'"
            ) from error
        try:
            backend = cls(folder, settings)
            rows = backend.decode([Chunk(0, 0, (backend.vocabulary.bos or backend.vocabulary.eos or 0,))])
            backend.vocabulary.check(len(rows.logits(0)))
            backend.trim(0, 0)
        except LoadError:
            raise
        except MemoryError as error:
            raise OutOfMemory(f"not enough memory to load {folder}. Choose a smaller model.") from error
        except Exception as error:  # the library's errors have no common root
            raise _load_error(folder, error) from error
        return backend

    def decode(self, batch: Batch) -> MlxRows:
        assert len({chunk.slot for chunk in batch}) == len(batch), batch
        try:
            found = {slot: rows for group in self._groups(batch) for slot, rows in self._computed(group)}
        except Exception as error:
            raise BackendError(f"decoding failed: {_first_line(error)}. Try the request again.") from error
        self._decodes += 1
        if self._decodes % _TIDY_EVERY == 0:
            self._mx.clear_cache()
        return MlxRows([found[chunk.slot] for chunk in batch if chunk.rows])

    def _groups(self, batch: Batch) -> list[Batch]:
        """Chunks that are as long and want every row pass through the model together, where its caches allow it."""
        groups: dict[tuple[int, int], Batch] = {}
        for chunk in batch:
            assert chunk.start == self._lengths[chunk.slot], (chunk, self._lengths[chunk.slot])
            alone = not self.capabilities.together or chunk.start == 0 or chunk.rows < len(chunk.tokens)
            groups.setdefault((len(chunk.tokens), chunk.slot if alone else -1), []).append(chunk)
        return list(groups.values())

    def _computed(self, group: Batch) -> list[tuple[int, Any]]:
        if len(group) == 1:
            return [(group[0].slot, self._compute(group[0]))]
        mx, slots = self._mx, [self._slot(chunk.slot) for chunk in group]
        gathered = [GatheredCache(mx, self._causal_mask, layer) for layer in zip(*slots, strict=True)]
        logits = self._model(mx.array([list(chunk.tokens) for chunk in group]), cache=gathered).astype(mx.float32)
        mx.eval(logits)
        rows = np.array(logits)
        for chunk in group:
            self._lengths[chunk.slot] += len(chunk.tokens)
        return [(chunk.slot, rows[place]) for place, chunk in enumerate(group)]

    def _compute(self, chunk: Chunk) -> Any:
        """The chunk's rows as float32, or None; logits are computed for those tokens only that want them."""
        mx, caches = self._mx, self._slot(chunk.slot)
        silent, wanted = list(chunk.tokens[: len(chunk.tokens) - chunk.rows]), list(chunk.tokens)[-chunk.rows :]
        if silent:
            self._model(mx.array([silent]), cache=caches)
            mx.eval([each.state for each in caches])
        rows = None
        if chunk.rows:
            logits = self._model(mx.array([wanted]), cache=caches)[0].astype(mx.float32)
            mx.eval(logits)
            rows = np.array(logits)  # a copy: the library may use the buffer again
        self._lengths[chunk.slot] += len(chunk.tokens)
        return rows

    def copy(self, source: int, target: int, length: int) -> None:
        assert source != target and self._lengths[target] == 0
        assert 0 <= length <= self._lengths[source]
        if length:
            self._slots[target] = [_shortened(self._caches_of.KVCache(), each, length) for each in self._slot(source)]
            self._lengths[target] = length

    def trim(self, slot: int, length: int) -> None:
        """Raises BackendError where the model cannot forget a part."""
        if length >= self._lengths[slot] > 0:
            return
        if length == 0:
            self._slots.pop(slot, None)
        elif not self.capabilities.trim:
            raise BackendError(f"this model cannot go back to token {length}. Clear the whole slot instead.")
        else:
            self._caches_of.trim_prompt_cache(self._slots[slot], self._lengths[slot] - length)
        self._lengths[slot] = length

    def save(self, slot: int) -> bytes:
        assert self.capabilities.save
        length = self._lengths[slot]
        caches = self._slot(slot) if length else []
        layers = [[_packed(self._mx, array) for array in each.keys_and_values()] for each in caches]
        body = msgspec.msgpack.encode(_State(self._identity, length, layers))
        return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body

    def restore(self, slot: int, state: bytes) -> None:
        saved = self._checked(state)
        self.trim(slot, 0)
        if not saved.length:
            return
        caches = self._slot(slot)
        for each, arrays in zip(caches, saved.layers, strict=True):
            keys, values = (_unpacked(self._mx, *array) for array in arrays)
            each.state = (keys, values, saved.length)
        self._lengths[slot] = saved.length

    def close(self) -> None:
        self._slots.clear()
        self._model = None

    def _slot(self, slot: int) -> list[Any]:
        assert self._model is not None, "the backend is closed"
        if slot not in self._slots:
            self._slots[slot] = self._caches_of.make_prompt_cache(self._model)
        return self._slots[slot]

    def _checked(self, state: bytes) -> _State:
        body = state[len(_MAGIC) + 4 :]
        if not state.startswith(_MAGIC) or zlib.crc32(body) != int.from_bytes(state[len(_MAGIC) :][:4], "little"):
            raise BackendError("this is no saved state, or a damaged one. Compute the prompt again.")
        saved = msgspec.msgpack.decode(body, type=_State)
        if saved.model != self._identity:
            raise BackendError("the state was saved by another model, build or setting. Compute the prompt again.")
        return saved


def build_id() -> str:
    from importlib.metadata import version

    return f"mlx {version('mlx')}; mlx-lm {version('mlx-lm')}"


def _shortened(fresh: Any, cache: Any, length: int) -> Any:
    """A cache of the first `length` tokens; a slice is an array of its own, so that neither writes into the other."""
    fresh.state = (cache.keys[..., :length, :], cache.values[..., :length, :], length)
    return fresh


def _packed(mx: Any, array: Any) -> tuple[str, list[int], bytes]:
    name = str(array.dtype).rpartition(".")[2]
    plain = array.view(mx.uint16) if name == "bfloat16" else array  # numpy has no bfloat16
    return name, list(array.shape), np.ascontiguousarray(np.array(plain)).tobytes()


def _unpacked(mx: Any, name: str, shape: list[int], data: bytes) -> Any:
    if name == "bfloat16":
        return mx.array(np.frombuffer(data, np.uint16).reshape(shape)).view(mx.bfloat16)
    return mx.array(np.frombuffer(data, name).reshape(shape))


def _info(folder: Path, config: dict[str, Any], context: int, model: Any) -> ModelInfo:
    from mlx.utils import tree_flatten
    from mlx_lm.utils import get_total_parameters

    quantization = config.get("quantization") or {}
    leaves: Any = tree_flatten(model.parameters())
    size = sum(array.nbytes for _, array in leaves)
    return ModelInfo(
        name=folder.name,
        backend=NAME,
        context_length=context,
        size_bytes=size,
        parameters=int(get_total_parameters(model)),
        quantization=f"{quantization['bits']}-bit" if "bits" in quantization else str(config.get("torch_dtype") or ""),
        architecture=str(config.get("model_type", "")),
        created=int((folder / "config.json").stat().st_mtime),
    )


def _load_error(folder: Path, error: Exception) -> LoadError:
    reason = _first_line(error)
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return LoadError(f"cannot read {folder}: {reason}. Check its permissions.")
    if "custom module" in reason:
        return UnsupportedModel(f"{folder} wants to run code of its own, which is not allowed. Choose another model.")
    if isinstance(error, ValueError) and "not supported" in reason:
        return UnsupportedModel(f"{folder} cannot be run: {reason}. Update mlx-lm, or choose another model.")
    return NotAModel(f"{folder} cannot be loaded: {reason}. Download it again.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".?") or type(error).__name__
