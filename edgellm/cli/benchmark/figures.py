"""What a benchmark found, as JSON shows it: tokens a second, milliseconds, bytes."""

from __future__ import annotations

import msgspec


class Prefill(msgspec.Struct, frozen=True):
    """A prompt of `tokens` that was not in any cache."""

    tokens: int
    tokens_per_s: float


class Decode(msgspec.Struct, frozen=True):
    """One answer at a time without guessing ahead, its middle after `context` tokens.

    Where the weights are read from memory whose speed is known, `limit_per_s` is what reading them and the KV allows.
    """

    context: int
    tokens_per_s: float
    bytes_per_token: int = 0
    limit_per_s: float | None = None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of one kind: the medians over `runs` pairs, with speculation off and on in turn.

    `speedup` is the median of the pairs' ratios; `acceptance` the part of the drafted tokens that came true, None where
    none was drafted. `lost` is the largest part of an answer's time that it was ever behind, by the engine's account.
    """

    kind: str
    runs: int
    plain_per_s: float
    tokens_per_s: float
    speedup: float
    first_ms: float
    drafted: int = 0
    accepted: int = 0
    acceptance: float | None = None
    lost: float = 0.0


class Rival(msgspec.Struct, frozen=True):
    """The same requests on another server, both sides timed by when their text arrived; medians over pairs.

    `ratio` is ours over theirs.
    """

    kind: str
    runs: int
    here_per_s: float
    tokens_per_s: float
    first_ms: float
    ratio: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured; parts that were not are empty, and `notes` may say why."""

    edgellm: str
    model: str
    quantization: str
    backend: str
    processor: str
    threads: int
    bandwidth: float | None = None
    prefill: tuple[Prefill, ...] = ()
    decode: tuple[Decode, ...] = ()
    step_ms: dict[int, float] = {}
    draft_ms: float | None = None
    kinds: tuple[Kind, ...] = ()
    url: str = ""
    rival_model: str = ""
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()
