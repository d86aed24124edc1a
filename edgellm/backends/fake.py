"""A backend without weights: a scripted next-token function, a byte vocabulary, and every rule of the contract checked.

Shipped, not hidden in the tests: programs built on edgellm test themselves with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence as Seq

import numpy as np

from edgellm.backends.base import Capabilities, InfillTokens, Limits
from edgellm.backends.batch import Batch, Logits
from edgellm.errors import BackendError
from edgellm.model import ModelInfo

Script = Callable[[Seq[int]], int]

_SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ByteVocabulary:
    """Ids 0-255 are bytes, 256-259 the control tokens of ChatML."""

    bos: int | None = 256
    eos: int | None = 257
    end_tokens = frozenset({257, 259})
    template: str | None = _TEMPLATE
    infill: InfillTokens | None = None

    def __len__(self) -> int:
        return 256 + len(_SPECIAL)

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        ids = [256] if add_bos else []
        while text:
            name = next((s for s in _SPECIAL if special and text.startswith(s)), None)
            if name is not None:
                ids.append(256 + _SPECIAL.index(name))
                text = text[len(name) :]
                continue
            cut = min((at for s in _SPECIAL if special and (at := text.find(s)) > 0), default=len(text))
            ids.extend(text[:cut].encode("utf-8", "surrogatepass"))
            text = text[cut:]
        return ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        if token < 256:
            return bytes([token])
        return _SPECIAL[token - 256].encode() if special else b""

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        return (self.piece(token, special=special) for token in range(len(self)))


def hashed(history: Seq[int]) -> int:
    """A printable byte that depends on every token before it: any mix-up of slots or positions shows."""
    digest = hashlib.blake2b(np.asarray(history, dtype=np.int32).tobytes(), digest_size=2).digest()
    return 97 + int(digest[0]) % 26


def reply(text: str) -> Script:
    """Answer every ChatML conversation with `text`, then end the turn."""
    wanted: list[int] = [*text.encode(), 259]
    header = [258, *b"assistant\n"]

    def next_token(history: Seq[int]) -> int:
        tokens = list(history)
        starts = (at + len(header) for at in range(len(tokens)) if tokens[at : at + len(header)] == header)
        said: int = len(tokens) - max(starts, default=len(tokens))
        return wanted[min(said, len(wanted) - 1)]

    return next_token


class FakeRows:
    """Logits that favour the scripted token by 8, over noise fixed by the history."""

    def __init__(self, histories: list[list[int]], script: Script, vocabulary: int) -> None:
        self._histories = histories
        self._script = script
        self._vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self._histories)

    def wait(self) -> None: ...

    def argmax(self, row: int) -> int:
        return self._script(self._histories[row])

    def logits(self, row: int) -> Logits:
        history = self._histories[row]
        seed = int.from_bytes(hashlib.blake2b(np.asarray(history, np.int32).tobytes(), digest_size=8).digest())
        logits = np.random.default_rng(seed).random(self._vocabulary, dtype=np.float32)
        logits[self._script(history)] = 9.0
        return logits


class FakeBackend:
    """`Backend` over plain lists; breaking a rule of the interface is an AssertionError here."""

    def __init__(
        self,
        script: Script = hashed,
        *,
        limits: Limits = Limits(cells=4096, slots=16, batch=512, rows=64),
        capabilities: Capabilities = Capabilities(save=True),
        before_decode: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self.script = script
        self.limits = limits
        self.capabilities = capabilities
        self.vocabulary = ByteVocabulary()
        self.info = ModelInfo(name="fake", backend="fake", context_length=limits.cells, architecture="script")
        self.slots: list[list[int]] = [[] for _ in range(limits.slots)]
        # One id for each computed cell, so that sharing can be counted: copies hold the same ids.
        self._cells: list[list[int]] = [[] for _ in range(limits.slots)]
        self._next_cell = 0
        self._before_decode = before_decode
        self.computed = 0
        self.closed = False

    @property
    def cells_used(self) -> int:
        """Distinct cells held by any slot."""
        return len({cell for cells in self._cells for cell in cells})

    def decode(self, batch: Batch) -> FakeRows:
        self._check(batch)
        self._before_decode(batch)
        histories: list[list[int]] = []
        for chunk in batch:
            slot = self.slots[chunk.slot]
            slot.extend(chunk.tokens)
            fresh = range(self._next_cell, self._next_cell + len(chunk.tokens))
            self._cells[chunk.slot].extend(fresh)
            self._next_cell += len(chunk.tokens)
            self.computed += len(chunk.tokens)
            histories.extend(slot[: len(slot) - back] for back in reversed(range(chunk.rows)))
        if self.cells_used > self.limits.cells:
            raise BackendError("no KV cell is free for this batch")
        return FakeRows(histories, self.script, len(self.vocabulary))

    def _check(self, batch: Batch) -> None:
        assert not self.closed and batch
        assert len({chunk.slot for chunk in batch}) == len(batch), "a slot may be in a batch once"
        assert sum(len(chunk.tokens) for chunk in batch) <= self.limits.batch
        assert sum(chunk.rows for chunk in batch) <= self.limits.rows
        assert self.capabilities.ragged or len({len(chunk.tokens) for chunk in batch}) == 1
        for chunk in batch:
            assert chunk.tokens and chunk.rows <= len(chunk.tokens)
            assert chunk.start == len(self.slots[chunk.slot]), "a chunk starts where its slot ends"
            assert all(0 <= token < len(self.vocabulary) for token in chunk.tokens)

    def copy(self, source: int, target: int, length: int) -> None:
        assert self.capabilities.copy and not self.slots[target] and 0 < length <= len(self.slots[source])
        assert self.capabilities.trim or length == len(self.slots[source])
        self.slots[target] = self.slots[source][:length]
        self._cells[target] = self._cells[source][:length]

    def trim(self, slot: int, length: int) -> None:
        assert length <= len(self.slots[slot]) and (self.capabilities.trim or length == 0)
        del self.slots[slot][length:]
        del self._cells[slot][length:]

    def save(self, slot: int) -> bytes:
        assert self.capabilities.save
        return np.asarray(self.slots[slot], dtype=np.int32).tobytes()

    def restore(self, slot: int, state: bytes) -> None:
        if len(state) % 4:
            raise BackendError("this is not a saved slot of the fake backend")
        self.slots[slot] = np.frombuffer(state, dtype=np.int32).tolist()
        self._cells[slot] = list(range(self._next_cell, self._next_cell + len(self.slots[slot])))
        self._next_cell += len(self.slots[slot])

    def close(self) -> None:
        self.closed = True
