"""What one step costs outside `llama_decode`, on a tiny random model where that is most of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks.figures import quantile
from scripts.benchmarks.table import NOTHING, Row

_WARM_UP = 32
_PROMPT_TOKENS = 8
_SMALL, _LARGE = 512, 151_936
_SEQUENCES = (1, 16)
_MOST_MS = {1: 0.5, 16: 2.0}


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of each step: all but `llama_decode`, and all but the backend's whole `decode`."""

    sampling: str
    vocabulary: int
    sequences: int
    outside_native_ms: list[float]
    outside_backend_ms: list[float]

    def row(self) -> Row:
        middle, high = (quantile(self.outside_native_ms, part) for part in (0.5, 0.9))
        # The promise is for greedy decoding on the tiny model; the rest is told.
        promised = self.sampling == "greedy" and self.vocabulary == _SMALL
        most = _MOST_MS[self.sequences] if promised else None
        several = "1 sequence" if self.sequences == 1 else f"{self.sequences} sequences"
        return Row(
            name=f"host cost of a step, {self.sampling}, {several}, vocabulary {self.vocabulary:,}",
            ours=f"{middle:.3f} ms (p90 {high:.3f})",
            target=NOTHING if most is None else f"<= {most} ms",
            met=None if most is None else middle <= most,
        )


def measure(cache_directory: Path, steps: int, threads: int) -> tuple[list[Row], dict[str, Any]]:
    """Every combination of vocabulary, sampling and number of sequences, over `steps` steps each."""
    from tests import tiny_model

    costs = []
    for vocabulary in (_SMALL, _LARGE):
        path = tiny_model.build(cache_directory, vocabulary=vocabulary, half=vocabulary == _LARGE)
        for sampling in ("greedy", "sampled"):
            costs += [_cost(path, sampling, vocabulary, sequences, steps, threads) for sequences in _SEQUENCES]
    return [cost.row() for cost in costs], {"steps": steps, "threads": threads, "costs": [asdict(c) for c in costs]}


def _cost(path: Path, sampling: str, vocabulary: int, sequences: int, steps: int, threads: int) -> Cost:
    from edgellm.backends.llamacpp import LlamaCppBackend
    from edgellm.config import ModelSettings

    answer = _WARM_UP + steps + 1
    cells = -(-sequences * (_PROMPT_TOKENS + answer) // 256) * 256
    settings = ModelSettings(context=cells, threads=threads, slots=sequences, parallel=sequences)
    with timed_decode() as native, closing(LlamaCppBackend.load(path, settings)) as backend:
        engine = _busy_engine(backend, sampling, sequences, answer)
        for _ in range(_WARM_UP):
            engine.step()
        outside_native, outside_backend = [], []
        for _ in range(steps):
            native.seconds = 0.0
            counted = engine.counters.step_s - engine.counters.decode_s
            begin = time.perf_counter()
            updates = engine.step()
            outside_native.append(1000 * (time.perf_counter() - begin - native.seconds))
            outside_backend.append(1000 * (engine.counters.step_s - engine.counters.decode_s - counted))
            assert sum(len(update.tokens) for update in updates) == sequences, "not every sequence was decoding"
    return Cost(sampling, vocabulary, sequences, outside_native, outside_backend)


def _busy_engine(backend: Any, sampling: str, sequences: int, answer: int) -> Any:
    """An engine with jobs that neither end nor share a prompt while they are measured."""
    from edgellm.engine.engine import Engine
    from edgellm.engine.scheduler import Budget
    from edgellm.engine.sequence import Job
    from edgellm.request import GREEDY, SamplingParams

    limits = backend.limits
    budget = Budget(batch=limits.batch, rows=limits.rows, parallel=sequences)
    engine = Engine(backend, clock=time.perf_counter, budget=budget)
    params = GREEDY if sampling == "greedy" else SamplingParams()
    for id in range(sequences):
        prompt = [(id * _PROMPT_TOKENS + offset) % 256 for offset in range(_PROMPT_TOKENS)]
        engine.submit(Job(id=id, prompt=prompt, params=params, seed=id, max_tokens=answer))
    return engine


class NativeClock:
    """Stands in for a native function, and adds up the seconds spent in it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.seconds = 0.0
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.perf_counter() - begin


@contextmanager
def timed_decode() -> Iterator[NativeClock]:
    """`llama_decode` under a clock, for backends that are loaded meanwhile."""
    from edgellm.backends.llamacpp import library

    binding = library.load()
    native = binding.llama_decode
    clock = NativeClock(native)
    binding.llama_decode = clock
    try:
        yield clock
    finally:
        binding.llama_decode = native
