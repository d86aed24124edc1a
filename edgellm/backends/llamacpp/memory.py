"""What each slot remembers: how long it is; copied, trimmed, saved to bytes and restored."""

from __future__ import annotations

import ctypes
import struct
import zlib

import numpy as np

from edgellm.backends.llamacpp.context import Context
from edgellm.backends.llamacpp.log import NativeLog
from edgellm.errors import BackendError

# Damaged bytes can make the library abort, so a state carries what proves it whole and of this model.
_HEADER = struct.Struct("<8s16sIIQ")  # magic, model and build, length in tokens, checksum, bytes that follow
_MAGIC = b"EDGEKV1\0"
_BYTES = ctypes.POINTER(ctypes.c_uint8)


class SlotMemory:
    """`lengths[slot]` counts the tokens a slot holds; whoever decodes adds to it."""

    def __init__(self, context: Context, slots: int, identity: bytes) -> None:
        """`identity`: 16 bytes that differ between models, builds and kinds of KV."""
        assert len(identity) == 16
        self.lengths = [0] * slots
        self._context = context
        self._library = context.library
        self._memory = context.memory
        self._identity = identity

    def clear(self) -> None:
        self._library.llama_memory_clear(self._memory, True)
        self.lengths = [0] * len(self.lengths)

    def copy(self, source: int, target: int, length: int) -> None:
        assert source != target and self.lengths[target] == 0, (source, target, self.lengths[target])
        assert 0 <= length <= self.lengths[source], (length, self.lengths[source])
        if length:
            self._library.llama_memory_seq_cp(self._memory, source, target, 0, length)
            self.lengths[target] = length

    def trim(self, slot: int, length: int) -> None:
        """Raises BackendError where the model cannot forget a part (it then still holds everything)."""
        assert length >= 0, length
        if length and length >= self.lengths[slot]:
            return
        if not self._library.llama_memory_seq_rm(self._memory, slot, length or -1, -1):
            raise BackendError(f"this model cannot go back to token {length}. Clear the whole slot instead.")
        self.lengths[slot] = length
        if not any(self.lengths):
            # Empty, the library still puts new tokens behind the old ones, and the order of cells decides rounding:
            # from here a model alone gives the same bits every time.
            self._library.llama_memory_clear(self._memory, False)

    def save(self, slot: int) -> bytes:
        """Header and the library's own bytes; raises BackendError when the library fails."""
        length = self.lengths[slot]
        size = self._library.llama_state_seq_get_size_ext(self._context.context, slot, 0) if length else 0
        state = bytearray(_HEADER.size + size)
        if length:
            start = (ctypes.c_uint8 * size).from_buffer(state, _HEADER.size)
            log = self._context.native.log
            mark = log.mark()
            written = self._library.llama_state_seq_get_data_ext(
                self._context.context, ctypes.cast(start, _BYTES), size, slot, 0
            )
            if written != size or not size:
                raise BackendError(f"the slot could not be saved: {_said(log, mark)}. Go on without saving it.")
        checksum = zlib.crc32(memoryview(state)[_HEADER.size :])
        _HEADER.pack_into(state, 0, _MAGIC, self._identity, length, checksum, size)
        return bytes(state)

    def restore(self, slot: int, state: bytes) -> None:
        """Raises BackendError; the slot is then empty."""
        length, size = self._checked(state)
        self.trim(slot, 0)
        if not length:
            return
        address = np.frombuffer(state, np.uint8).ctypes.data + _HEADER.size
        log = self._context.native.log
        mark = log.mark()
        read = self._library.llama_state_seq_set_data_ext(
            self._context.context, ctypes.cast(address, _BYTES), size, slot, 0
        )
        if read != size or self._library.llama_memory_seq_pos_max(self._memory, slot) != length - 1:
            self.trim(slot, 0)
            raise BackendError(f"the saved state could not be restored: {_said(log, mark)}. Compute the prompt again.")
        self.lengths[slot] = length

    def _checked(self, state: bytes) -> tuple[int, int]:
        """Length in tokens and bytes of what the header vouches for."""
        if len(state) < _HEADER.size or not state.startswith(_MAGIC):
            raise BackendError("this is not a saved state. Compute the prompt again.")
        _, identity, length, checksum, size = _HEADER.unpack_from(state)
        if identity != self._identity:
            raise BackendError("the state was saved by another model, build or setting. Compute the prompt again.")
        if size != len(state) - _HEADER.size or zlib.crc32(memoryview(state)[_HEADER.size :]) != checksum:
            raise BackendError("the saved state is damaged. Compute the prompt again.")
        return length, size


def _said(log: NativeLog, mark: int) -> str:
    lines = log.since(mark, problems=True)
    return lines[0] if lines else "the library gave no reason"
