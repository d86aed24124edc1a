"""The model's own vocabulary: text to token ids and ids to bytes, exactly as llama.cpp does it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import compress, count, repeat
from typing import Any

import numpy as np

from edgellm.backends.base import InfillTokens
from edgellm.backends.llamacpp.context import Context
from edgellm.errors import RequestError


class LlamaVocabulary:
    """Immutable; safe to use from any thread until the backend is closed."""

    def __init__(self, context: Context) -> None:
        self._library = lib = context.library
        self._vocabulary = context.vocabulary
        self._size: int = lib.llama_vocab_n_tokens(self._vocabulary)
        self._bos = _id(lib.llama_vocab_bos(self._vocabulary))
        self._eos = _id(lib.llama_vocab_eos(self._vocabulary))
        # The library keeps this set to itself and answers for one token at a time.
        is_end = map(lib.llama_vocab_is_eog, repeat(self._vocabulary), range(self._size))
        self._end_tokens = frozenset(compress(count(), is_end))
        template = lib.llama_model_chat_template(context.model, None)
        self._template = template.decode("utf-8", "replace") if template else None
        self._infill = _infill(lib, self._vocabulary)
        self._plain: dict[int, bytes] = {}
        self._special: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._size

    @property
    def bos(self) -> int | None:
        return self._bos

    @property
    def eos(self) -> int | None:
        return self._eos

    @property
    def end_tokens(self) -> frozenset[int]:
        return self._end_tokens

    @property
    def template(self) -> str | None:
        return self._template

    @property
    def infill(self) -> InfillTokens | None:
        return self._infill

    def forget(self) -> None:
        """The model is about to be freed: from here on only what is known already can be asked."""
        self._vocabulary = None

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        """Half a surrogate pair, which no UTF-8 can hold, counts as U+FFFD. Raises RequestError on 2 GiB of text."""
        assert self._vocabulary, "the backend is closed"
        data = _encoded(text)
        size = -(len(data) + 8)  # no token is shorter than a byte, but for what is added around the text
        for _ in range(2):
            room = np.empty(-size, np.int32)
            pointer = room.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
            size = self._library.llama_tokenize(self._vocabulary, data, len(data), pointer, len(room), add_bos, special)
            if size >= 0:
                tokens: list[int] = room[:size].tolist()
                return tokens
        raise RequestError("the text could not be turned into tokens. Send a shorter one.")

    def piece(self, token: int, *, special: bool = False) -> bytes:
        known = self._special if special else self._plain
        piece = known.get(token)
        if piece is None:
            piece = known[token] = self._read_piece(token, special)
        return piece

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        # Read anew into one buffer: 150,000 remembered pieces would keep 20 MB for good, and buffers cost most of it.
        room = ctypes.create_string_buffer(256)
        read, vocabulary, view = self._library.llama_token_to_piece, self._vocabulary, memoryview(room)
        for token in range(self._size):
            size = read(vocabulary, token, room, len(room), 0, special)
            yield bytes(view[:size]) if size >= 0 else self._read_piece(token, special)

    def _read_piece(self, token: int, special: bool) -> bytes:
        assert self._vocabulary, "the backend is closed"
        assert 0 <= token < self._size, token
        size = -64
        for _ in range(2):
            room = ctypes.create_string_buffer(-size)
            size = self._library.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, special)
            if size >= 0:
                return room.raw[:size]
        raise AssertionError(f"token {token} has no piece")


def _id(token: int) -> int | None:
    return token if token >= 0 else None


def _infill(lib: Any, vocabulary: Any) -> InfillTokens | None:
    """As the file's metadata name them, or as the library finds them by their usual spellings."""
    prefix, suffix, middle, repository, file = (
        _id(ask(vocabulary))
        for ask in (
            lib.llama_vocab_fim_pre,
            lib.llama_vocab_fim_suf,
            lib.llama_vocab_fim_mid,
            lib.llama_vocab_fim_rep,
            lib.llama_vocab_fim_sep,
        )
    )
    if prefix is None or suffix is None or middle is None:
        return None
    return InfillTokens(prefix, suffix, middle, repository, file)


def _encoded(text: str) -> bytes:
    if len(text) > 2**29:  # lengths are 32 bits wide in the library, and a character may take 4 bytes
        raise RequestError(f"a text of {len(text):,} characters is too long. Send a shorter one.")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")
