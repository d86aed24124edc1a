"""A `Backend` that watches how fast another one decodes, and keeps what it saw for later predictions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import msgspec

from edgellm.catalog.metadata import ModelFacts
from edgellm.config import ModelSettings
from edgellm.fit.placement import Placement
from edgellm.machine.measurements import DecodeSpeed, Key, Measurements

if TYPE_CHECKING:
    from edgellm.backends.base import Backend
    from edgellm.backends.batch import Batch, Rows

KEPT_STEPS = 512
FEWEST_STEPS = 16
_PROMPT = 128
"""Tokens from which on a chunk of a prompt tells how fast prompts are read."""


class Seen(msgspec.Struct, frozen=True):
    """Medians over steps of one sequence: milliseconds a token, mean context, and tokens a second of prompts."""

    ms_per_token: float
    context: float
    steps: int
    prefill_tokens_per_s: float


class _WatchedRows:
    """`done` hears when they are computed, for on a GPU that is later than when they are given out."""

    __slots__ = ("_done", "_inner", "argmax", "logits")

    def __init__(self, inner: Rows, done: Callable[[], None]) -> None:
        self.argmax, self.logits = inner.argmax, inner.logits
        self._inner, self._done = inner, done

    def __len__(self) -> int:
        return len(self._inner)

    def wait(self) -> None:
        self._inner.wait()
        self._done()


class WatchedBackend:
    """Passes everything on. `keep` hears what was seen, on closing, if that was enough to tell something.

    Only steps of one sequence and one token count as decoding: several at once share the reading of the weights.
    """

    def __init__(
        self, inner: Backend, keep: Callable[[Seen], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.info, self.capabilities = inner.info, inner.capabilities
        self.limits, self.vocabulary = inner.limits, inner.vocabulary
        self.copy, self.trim, self.save, self.restore = inner.copy, inner.trim, inner.save, inner.restore
        self._inner, self._keep, self._clock = inner, keep, clock
        self._steps: deque[tuple[float, int]] = deque(maxlen=KEPT_STEPS)
        self._prompts: deque[float] = deque(maxlen=KEPT_STEPS)

    def decode(self, batch: Batch) -> Rows:
        begin = self._clock()
        rows = self._inner.decode(batch)
        if len(batch) > 1:
            return rows
        start, tokens = batch[0].start, len(batch[0].tokens)
        return _WatchedRows(rows, lambda: self._note(start, tokens, self._clock() - begin))

    def close(self) -> None:
        self._inner.close()
        seen = self.seen()
        self._steps.clear()
        if seen is not None:
            self._keep(seen)

    def seen(self) -> Seen | None:
        """None while too little was."""
        if len(self._steps) < FEWEST_STEPS:
            return None
        return Seen(
            ms_per_token=1000 * median(seconds for seconds, _ in self._steps),
            context=fmean(start for _, start in self._steps),
            steps=len(self._steps),
            prefill_tokens_per_s=median(self._prompts) if self._prompts else 0.0,
        )

    def _note(self, start: int, tokens: int, seconds: float) -> None:
        if tokens == 1 and start:
            self._steps.append((seconds, start))
        elif tokens >= _PROMPT and seconds > 0:
            self._prompts.append(tokens / seconds)


def watched(inner: Backend, path: Path, settings: ModelSettings, told: dict[str, Any], kept: Measurements) -> Backend:
    """`inner`, of the model at `path`, watched; `told` has its facts and placement as `describe` wrote them."""

    def keep(seen: Seen) -> None:
        facts, placement = msgspec.convert(told["facts"], ModelFacts), msgspec.convert(told["placement"], Placement)
        record(seen, facts, placement, key(path, settings, placement), kept)

    return WatchedBackend(inner, keep)


def describe(facts: ModelFacts, placement: Placement) -> dict[str, Any]:
    """What `watched` wants to be told, as it crosses to a worker."""
    return {"facts": msgspec.to_builtins(facts), "placement": msgspec.to_builtins(placement)}


def key(path: Path, settings: ModelSettings, placement: Placement) -> Key:
    """Under which the speed of the model at `path` is kept."""
    from edgellm.fit.speed import ON_GPU, WITH_SERVERS
    from edgellm.machine.machine import detect
    from edgellm.runtime.model_backend import build_id, identity, threads

    ending = WITH_SERVERS if placement.servers else ON_GPU if placement.gpu_layers else ""
    build = f"{build_id(path, settings)}; {placement.kv_type}{ending}"
    return Key(identity(path), build, threads(path, settings), detect().id)


def record(seen: Seen, facts: ModelFacts, placement: Placement, key: Key, kept: Measurements) -> None:
    """Keep what was seen; what a token cost is put down as the bytes that explain it."""
    from edgellm.fit.speed import KIND, work

    cost = work(facts, placement, round(seen.context))
    speed = DecodeSpeed(
        bytes_per_token=cost.all,
        ms_per_token=seen.ms_per_token,
        context=round(seen.context),
        prefill_tokens_per_s=seen.prefill_tokens_per_s,
        active_parameters=cost.active,
        tokens=seen.steps,
        measured_at=time.time(),
    )
    kept.write(KIND, key, speed)
