"""The `Backend` interface: decode a batch of tokens into logits; copy, trim and save what each slot remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edgellm.backends.batch import Batch, Rows
from edgellm.model import ModelInfo


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do with a slot's KV; the engine does without what is missing.

    copy:   `copy` shares a prefix between slots (else every sequence prefills alone)
    trim:   a slot can be cut at any length (else it can only be cleared)
    ragged: one decode may hold chunks of different lengths
    together: chunks of several slots cost less together than one by one (else a decode costs the sum of its chunks)
    shift:  positions can be moved (context shift)
    save:   `save` and `restore` work
    """

    copy: bool = True
    trim: bool = True
    ragged: bool = True
    together: bool = True
    shift: bool = False
    save: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """`cells` KV cells shared by all `slots` (0 .. slots-1); at most `batch` tokens and `rows` rows a decode."""

    cells: int
    slots: int
    batch: int
    rows: int


@dataclass(frozen=True, slots=True)
class InfillTokens:
    """The tokens around the texts before and after a hole.

    Without a `middle` the answer follows the text before it, which then comes last. `repository` and `file` open the
    name of a repository and of a file in it, where the model knows such.
    """

    prefix: int
    suffix: int
    middle: int | None
    repository: int | None = None
    file: int | None = None


class Vocabulary(Protocol):
    """Token ids and the bytes they stand for. Immutable, safe to use from any thread."""

    def __len__(self) -> int: ...

    @property
    def bos(self) -> int | None: ...

    @property
    def eos(self) -> int | None: ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Every token that ends a turn or a text."""
        ...

    @property
    def template(self) -> str | None:
        """The chat template that came with the model (Jinja), if any."""
        ...

    @property
    def infill(self) -> InfillTokens | None:
        """The fill-in-the-middle tokens that the model's file names; None also where it leaves them to be found."""
        ...

    def tokenize(self, text: str, *, special: bool, add_bos: bool) -> list[int]:
        """`special` reads control tokens written out in `text`; `add_bos` adds what the model wants around a text."""
        ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The token's bytes; b"" for a control token unless `special`."""
        ...

    def pieces(self, *, special: bool = True) -> Iterator[bytes]:
        """Every token's bytes in the order of ids; control tokens written out, or b"" unless `special`."""
        ...


class Backend(Protocol):
    """One loaded model and its KV. Used by one thread at a time (but for `vocabulary`)."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def decode(self, batch: Batch) -> Rows:
        """Compute every chunk (a GPU goes on after this returns), remember it, and return `sum(chunk.rows)` rows.

        The caller keeps within `limits`, has each chunk start where its slot ends, and names a slot at most once.
        Raises BackendError when the library fails; every slot in the batch must then be cleared.
        """
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Give the empty slot `target` the first `length` tokens of `source`, sharing cells where possible."""
        ...

    def trim(self, slot: int, length: int) -> None:
        """Forget everything of `slot` from position `length` on; 0 clears it (always possible)."""
        ...

    def save(self, slot: int) -> bytes:
        """The slot's whole state, for `restore` by the same model and build."""
        ...

    def restore(self, slot: int, state: bytes) -> None:
        """Replace what `slot` holds by `state`. Raises BackendError when it does not fit or is not of this model."""
        ...

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        ...
