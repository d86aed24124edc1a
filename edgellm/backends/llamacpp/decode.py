"""One decode call: a batch laid out in arrays the library reads in place, its logits lent as numpy rows."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgellm.backends.base import Limits
from edgellm.backends.batch import Batch, Logits
from edgellm.backends.llamacpp.context import Context
from edgellm.errors import BackendError


class LlamaRows:
    """`count` rows borrowed from the context, looked up when they are first asked for; overwritten by the next decode.

    `lend` waits for a GPU and gives the rows, shape (count, vocabulary).
    """

    __slots__ = ("_count", "_lend", "_rows")

    def __init__(self, count: int, lend: Callable[[int], NDArray[np.float32]]) -> None:
        self._count = count
        self._lend = lend
        self._rows: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return self._count

    def wait(self) -> None:
        if self._rows is None:
            self._rows = self._lend(self._count)

    def argmax(self, row: int) -> int:
        return int(self.logits(row).argmax())

    def logits(self, row: int) -> Logits:
        self.wait()
        assert self._rows is not None
        row_logits: Logits = self._rows[row]
        return row_logits


class BatchArrays:
    """One `llama_batch` for the life of a context; its pointers lead into arrays that are filled anew each step."""

    def __init__(self, binding: Any, capacity: int) -> None:
        self.tokens = np.zeros(capacity, np.int32)
        self.positions = np.zeros(capacity, np.int32)
        self.slots = np.zeros(capacity, np.int32)
        self.wanted = np.zeros(capacity, np.int8)
        self._counts = np.ones(capacity, np.int32)
        self._slot_pointers = (self.slots.ctypes.data + 4 * np.arange(capacity)).astype(np.uintp)
        self.native = binding.llama_batch()
        for name, array in (
            ("token", self.tokens),
            ("pos", self.positions),
            ("n_seq_id", self._counts),
            ("seq_id", self._slot_pointers),
            ("logits", self.wanted),
        ):
            kind = dict(binding.llama_batch._fields_)[name]
            setattr(self.native, name, ctypes.cast(array.ctypes.data, kind))

    def fill(self, batch: Batch, limits: Limits) -> int:
        """Lay out `batch`; returns its rows. More than `limits` would abort the process, hence the assertions."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        wanted: list[int] = []
        for chunk in batch:
            count, rows = len(chunk.tokens), chunk.rows
            assert 0 <= rows <= count > 0, chunk
            tokens += chunk.tokens
            if count == 1:
                positions.append(chunk.start)
                slots.append(chunk.slot)
                wanted.append(rows)
            else:
                positions += range(chunk.start, chunk.start + count)
                slots += [chunk.slot] * count
                wanted += [0] * (count - rows) + [1] * rows
        total, rows = len(tokens), sum(wanted)
        assert 0 < total <= limits.batch, (total, limits)
        assert rows <= limits.rows, (rows, limits)
        self.tokens[:total] = tokens
        self.positions[:total] = positions
        self.slots[:total] = slots
        self.wanted[:total] = wanted
        self.native.n_tokens = total
        return rows


class Decoder:
    """Runs batches on a context. After a failure, what the batch's slots hold is unknown."""

    def __init__(self, context: Context, limits: Limits, vocabulary_size: int) -> None:
        self._context = context
        self._limits = limits
        self._width = vocabulary_size
        self._batch = BatchArrays(context.library, limits.batch)
        self._decode = context.library.llama_decode
        self._logits_address = context.native.address_function("llama_get_logits")
        self._address = 0
        self._view = np.zeros((0, vocabulary_size), np.float32)

    def __call__(self, batch: Batch) -> LlamaRows:
        """Raises BackendError, with what the library said."""
        rows = self._batch.fill(batch, self._limits)
        mark = self._context.native.log.mark()
        code = self._decode(self._context.context, self._batch.native)
        if code != 0:
            raise decode_error(code, self._context.native.log.since(mark, problems=True))
        return LlamaRows(rows, self._lend)

    def _lend(self, count: int) -> NDArray[np.float32]:
        if not count:
            return self._view[:0]
        # Also waits until a GPU has finished.
        address = self._logits_address(self._context.context)
        assert address, "the library kept no logits"
        if address != self._address or count > len(self._view):
            lent = (ctypes.c_float * (count * self._width)).from_address(address)
            self._view = np.frombuffer(memoryview(lent), np.float32).reshape(count, self._width)
            self._address = address
        return self._view[:count]


_REASONS = {
    1: "the KV cache has no room for this step",
    2: "the computation was aborted",
    -1: "the library refused the batch",
    -2: "memory for the computation could not be allocated",
    -3: "the computation failed",
}


def decode_error(code: int, lines: list[str]) -> BackendError:
    said = f" ({lines[0]})" if lines else ""
    return BackendError(f"decoding failed: {_REASONS.get(code, f'code {code}')}{said}. Try the request again.")
