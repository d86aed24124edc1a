"""ONNX Runtime as an `EmbeddingBackend`: sentence-embedding models as a folder of a graph, tokenizer and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from edgellm.backends.embedding import Rows
from edgellm.config import ModelSettings
from edgellm.errors import BackendError, LoadError, NotAModel, Unsupported, UnsupportedModel
from edgellm.model import ModelInfo

TOKENIZER, SETTINGS, POOLING = "tokenizer.json", "config.json", "1_Pooling/config.json"
_POOLED = "sentence_embedding"
_USUAL = 512
_OFFSET = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})  # their positions begin behind the padding's


class _Settings(msgspec.Struct):
    model_type: str = ""
    max_position_embeddings: int = 0
    pad_token_id: int | None = None


class _Pooling(msgspec.Struct):
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_lasttoken: bool = False


class OnnxEmbedding:
    """One model, loaded. Make it with `load`.

    Int8 graphs scale their activations by the largest of all texts in a run: texts run alone, so that what a text
    means does not depend on those beside it.
    """

    ranks = False
    sequences = 1

    def __init__(self, folder: Path, settings: ModelSettings) -> None:
        self._graph = graph(folder)
        self._tokenizer = _tokenizer(folder)
        self._session = _session(self._graph, settings.threads)
        found = _read(folder / SETTINGS, _Settings)
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._output = _output(self._session, self._graph)
        self._pooling = "none" if self._output == _POOLED else _pooling(folder, settings.pooling)
        self.longest = min(_longest(found), settings.context or _longest(found))
        self.batch = self.longest
        self.vocabulary = int(self._tokenizer.get_vocab_size(with_added_tokens=True))
        self.width = self.compute([self.tokenize("")[:1] or [0]]).shape[1]
        self.info = ModelInfo(
            name=folder.name,
            backend="onnx",
            context_length=self.longest,
            size_bytes=self._graph.stat().st_size,
            architecture=found.model_type,
            created=int(self._graph.stat().st_mtime),
        )

    @classmethod
    def load(cls, folder: Path, settings: ModelSettings) -> Self:
        """Raises NotAModel, UnsupportedModel, Unsupported, or LoadError where a file cannot be read."""
        try:
            return cls(folder, settings)
        except OSError as error:
            raise LoadError(f"cannot read {folder}: {error.strerror or error}. Check its permissions.") from error

    def tokenize(self, text: str) -> list[int]:
        sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ids: list[int] = self._tokenizer.encode(sound).ids
        return ids

    def pair(self, query: str, document: str) -> list[int]:
        raise AssertionError("it ranks nothing")

    def shorten(self, tokens: list[int]) -> list[int]:
        if len(tokens) <= self.longest:
            return tokens
        around = self.tokenize("")  # what opens and closes a text
        closing = around[-1:] if around[-1:] == tokens[-1:] else []
        return tokens[: self.longest - len(closing)] + closing

    def compute(self, inputs: Sequence[Sequence[int]]) -> Rows:
        return np.stack([self._row(tokens) for tokens in inputs])

    def probabilities(self, rows: Rows) -> Rows:
        raise AssertionError("it ranks nothing")

    raw_scores = probabilities

    def close(self) -> None:
        self._session = None

    def _row(self, tokens: Sequence[int]) -> Rows:
        ids = np.asarray([tokens], np.int64)
        known = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.arange(ids.shape[1], dtype=np.int64)[None],
        }
        try:
            (made,) = self._session.run([self._output], {name: known[name] for name in self._inputs})
        except Exception as error:  # the library's own classes have no common root
            raise BackendError(f"computing failed: {_first_line(error)}. Try the request again.") from error
        hidden = made[0].astype(np.float32)
        row: Rows = hidden
        if self._pooling == "mean":
            row = hidden.mean(0)
        elif self._pooling in ("cls", "last"):
            row = hidden[0 if self._pooling == "cls" else -1]
        if not np.isfinite(row).all():
            raise BackendError("the model gave numbers that are none (NaN). Its file may be damaged: try another.")
        return row


def graph(folder: Path) -> Path:
    """The graph in `folder` or in its folder `onnx`: of several the plain one. Raises NotAModel."""
    found = sorted(path for path in (*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")) if path.is_file())
    if not found:
        raise NotAModel(f"the folder {folder} holds no ONNX graph. Download the model again.")
    return next((path for path in found if path.name == "model.onnx"), found[0])


def _session(path: Path, threads: int) -> Any:
    import onnxruntime
    import psutil

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or psutil.cpu_count(logical=False) or 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own classes have no common root
        raise NotAModel(f"{path} cannot be loaded: {_first_line(error)}. Download it again.") from error


def _tokenizer(folder: Path) -> Any:
    import tokenizers

    path = folder / TOKENIZER
    if not path.is_file():
        raise NotAModel(f"the folder {folder} lacks {TOKENIZER}. Download the model again.")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise NotAModel(f"{path} is damaged: {_first_line(error)}. Download it again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _output(session: Any, path: Path) -> str:
    """The output that is pooled already, else the one with a row for each token."""
    known = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
    outputs = {each.name: each.shape for each in session.get_outputs()}
    if not {each.name for each in session.get_inputs()} <= known:
        raise UnsupportedModel(f"{path} takes inputs that no text gives. Choose a model for sentence embeddings.")
    if _POOLED in outputs:
        return _POOLED
    rows = [name for name, shape in outputs.items() if shape is not None and len(shape) == 3]
    if not rows:
        raise UnsupportedModel(f"{path} gives no embeddings of tokens. Choose a model for sentence embeddings.")
    return "last_hidden_state" if "last_hidden_state" in rows else rows[0]


def _pooling(folder: Path, wanted: str) -> str:
    if wanted == "rank":
        raise Unsupported(f"{folder} has nothing that scores documents. Set pooling to auto, mean, cls or last.")
    if wanted != "auto":
        return wanted
    said = _read(folder / POOLING, _Pooling)
    if said.pooling_mode_cls_token:
        return "cls"
    return "last" if said.pooling_mode_lasttoken and not said.pooling_mode_mean_tokens else "mean"


def _longest(settings: _Settings) -> int:
    positions = settings.max_position_embeddings or _USUAL
    behind = (settings.pad_token_id or 0) + 1 if settings.model_type in _OFFSET else 0
    return max(1, positions - behind)


def _read(path: Path, kind: Any) -> Any:
    """The settings in the file at `path`; those of no file are all unsaid. Raises NotAModel."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAModel(f"{path} is damaged: {error}. Download it again.") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")[:300] if str(error).strip() else type(error).__name__
