"""Tries a fork of llama.cpp on a model beside stock llama.cpp: the same text within rounding, and which is faster.

As a program of its own (`python -m edgellm.runtime.native_trial FILE SETTINGS`) it prints the outcome as JSON: what a
fork does wrong may end the process.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from edgellm.config import ModelSettings

if TYPE_CHECKING:
    from edgellm.backends.base import Backend

PROMPT, STEPS, SEQUENCES = 160, 8, 4
_COMPARED = 48
"""Rows of the prompt that are compared; kernels change with the number of tokens, so there must be many at once."""
_TURNS = 2
_MIXED = 24

STEP, STEPS = b"step", 2 + 2 * _TURNS
"""What the program says, on a line of its own, after each part of the work; and how often."""

MOST_DIVERGED = 0.02
"""Mean Kullback-Leibler divergence in nats: rounding gives 0.001 and less, a wrong kernel 1 and more."""
_CLEAR = 1.5
"""Logits between the best two from which on another choice is no rounding."""

_TEXT = (
    "Rivers shape the land slowly. In spring the melting snow fills every stream, and the water carries sand and "
    "stones down to the plain, where it slows and lets them fall. Over many years this makes new ground, on which "
    "grass grows first, then bushes, then trees. People have always built their towns beside rivers, because water "
    "turns mills, carries ships and keeps gardens green.\n\n"
    "def mean(values: list[float]) -> float:\n    if not values:\n        raise ValueError('no values')\n"
    "    return sum(values) / len(values)\n\n"
    '{"name": "Ada", "age": 36, "skills": ["logic", "poetry"], "address": {"city": "London", "zip": "W1"}}\n'
)


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of a prompt of `PROMPT` tokens, and of a step of one token, of eight together, of four sequences."""

    prompt: float
    one: float
    eight: float
    four: float


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` says why the fork cannot be trusted with this model; empty where it can.

    Where it is not `sure`, something else may have gone wrong, and another try may tell more.
    """

    problem: str = ""
    sure: bool = True
    divergence: float = 0.0
    stock: Speeds | None = None
    fork: Speeds | None = None

    @property
    def faster(self) -> bool:
        """Whether the fork is worth having: nothing that one person waits for gets slower, something gets faster."""
        if self.problem or self.stock is None or self.fork is None:
            return False
        stock, fork = self.stock, self.fork
        alone = _ratio(_answer(stock), _answer(fork))
        together = _ratio(stock.eight + stock.four, fork.eight + fork.four)
        if min(_ratio(stock.prompt, fork.prompt), _ratio(stock.one, fork.one)) < 0.95 or together < 0.95:
            return False
        return alone >= 1.03 or (alone >= 0.98 and together >= 1.2)


def _answer(speeds: Speeds) -> float:
    return speeds.prompt + PROMPT * speeds.one


def _ratio(stock: float, fork: float) -> float:
    return stock / fork if fork > 0 else 1.0


def compare(stock: NDArray[np.float32], fork: NDArray[np.float32]) -> tuple[str, float]:
    """What is wrong with the fork's logits (rows, vocabulary), in words or nothing, and how far they are apart."""
    if stock.shape != fork.shape or not np.isfinite(fork).all():
        return "its logits are no numbers", float("inf")
    ours, theirs = _log_softmax(stock), _log_softmax(fork)
    divergence = float((np.exp(ours) * (ours - theirs)).sum(1).mean())
    if divergence > MOST_DIVERGED:
        return "its text is not llama.cpp's for this model", divergence
    best = np.partition(stock, -2, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > _CLEAR
    if (stock.argmax(1) != fork.argmax(1))[clear].any():
        return "it chooses other tokens than llama.cpp for this model", divergence
    return "", divergence


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    normed: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return normed


# -- in the child ----------------------------------------------------------------------------------------------------


def trial(path: Path, settings: ModelSettings, *, both_fit: bool) -> Trial:
    """Load the model on both libraries, one after the other where memory does not hold both."""
    from edgellm.backends import ik
    from edgellm.backends.llamacpp import LlamaCppBackend
    from edgellm.errors import EdgeLLMError

    small = replace(settings, context=1024, slots=SEQUENCES, parallel=SEQUENCES, batch=256)
    stock: Backend = LlamaCppBackend.load(path, small)
    tokens = _tokens(stock)
    expected = _logits(stock, tokens)
    _step()
    stock_turns = [_speeds(stock, tokens)]
    if not both_fit:
        stock_turns += [_speeds(stock, tokens) for _ in range(_TURNS - 1)]
        stock.close()
    try:
        fork: Backend = ik.backend(path, small)
    except EdgeLLMError as error:
        return Trial(problem=f"it cannot load this model: {error}")
    problem, divergence = compare(expected, _logits(fork, tokens))
    _step()
    fork_turns: list[Speeds] = []
    for _ in range(0 if problem else _TURNS):
        fork_turns.append(_speeds(fork, tokens))
        if len(stock_turns) < _TURNS:
            stock_turns.append(_speeds(stock, tokens))
    fork.close()
    if both_fit:
        stock.close()
    return Trial(problem=problem, divergence=divergence, stock=_middle(stock_turns), fork=_middle(fork_turns))


def _tokens(backend: Backend) -> list[int]:
    tokens = backend.vocabulary.tokenize(_TEXT, special=False, add_bos=True)
    return (tokens * (PROMPT // len(tokens) + 2))[: PROMPT + STEPS]


def _logits(backend: Backend, tokens: list[int]) -> NDArray[np.float32]:
    """Of many tokens at once, of two sequences together, and of single steps."""
    from edgellm.backends.batch import Chunk

    _clear(backend)
    parts = [
        _rows(backend, Chunk(0, 0, tokens[:PROMPT], _COMPARED)),
        _rows(backend, Chunk(1, 0, tokens[:24], 8), Chunk(2, 0, tokens[40:72], 8)),
        _rows(backend, Chunk(1, 24, tokens[24:25]), Chunk(2, 32, tokens[72:73])),
        *(_rows(backend, Chunk(0, PROMPT + step, tokens[PROMPT + step :][:1])) for step in range(STEPS)),
    ]
    return np.concatenate([*parts, *_mixed(backend, tokens)])


def _mixed(backend: Backend, tokens: list[int]) -> list[NDArray[np.float32]]:
    """As an engine under load decodes: sequences of all lengths beside each other, some begun anew in between."""
    from edgellm.backends.batch import Chunk

    _clear(backend)
    draw, lengths, found = random.Random(0), [0] * SEQUENCES, []
    for _ in range(_MIXED):
        chunks = []
        for slot in draw.sample(range(SEQUENCES), draw.randint(2, SEQUENCES)):
            if lengths[slot] > 60 or draw.random() < 0.15:
                backend.trim(slot, 0)
                lengths[slot] = 0
            count = draw.choice((1, 1, 2, 5, 8, 13))
            start = 11 * slot + lengths[slot]
            chunks.append(Chunk(slot, lengths[slot], tokens[start : start + count], 1))
            lengths[slot] += count
        found.append(_rows(backend, *chunks))
    return found


def _rows(backend: Backend, *chunks: object) -> NDArray[np.float32]:
    rows = backend.decode(list(chunks))  # type: ignore[arg-type]
    return np.array([rows.logits(row) for row in range(len(rows))])


def _clear(backend: Backend) -> None:
    for slot in range(SEQUENCES):
        backend.trim(slot, 0)


def _speeds(backend: Backend, tokens: list[int]) -> Speeds:
    from edgellm.backends.batch import Chunk

    _clear(backend)
    prompt = _timed(backend, [Chunk(0, 0, tokens[:PROMPT], 1)])
    one = [_timed(backend, [Chunk(0, PROMPT + step, tokens[PROMPT + step :][:1])]) for step in range(STEPS)]
    backend.trim(0, PROMPT)
    eight: list[float] = []
    four: list[float] = []
    for slot in range(1, SEQUENCES):
        backend.copy(0, slot, PROMPT)
    for _ in range(3):
        eight.append(_timed(backend, [Chunk(0, PROMPT, tokens[PROMPT:][:STEPS], STEPS)]))
        backend.trim(0, PROMPT)
        four.append(_timed(backend, [Chunk(slot, PROMPT, tokens[PROMPT:][:1]) for slot in range(SEQUENCES)]))
        for slot in range(SEQUENCES):
            backend.trim(slot, PROMPT)
    _step()
    return Speeds(prompt=prompt, one=median(one), eight=median(eight), four=median(four))


def _step() -> None:
    print("\n" + STEP.decode(), flush=True)


def _timed(backend: Backend, batch: list[object]) -> float:
    begin = time.perf_counter()
    rows = backend.decode(batch)  # type: ignore[arg-type]
    rows.argmax(0)
    return 1000 * (time.perf_counter() - begin)


def _middle(turns: list[Speeds]) -> Speeds | None:
    if not turns:
        return None
    return Speeds(**{name: median(getattr(turn, name) for turn in turns) for name in Speeds.__struct_fields__})


def main(arguments: list[str]) -> int:
    path, settings, both_fit = arguments
    outcome = trial(Path(path), msgspec.json.decode(settings, type=ModelSettings), both_fit=both_fit == "1")
    print("\n" + msgspec.json.encode(outcome).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
