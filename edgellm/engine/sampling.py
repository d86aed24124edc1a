"""Chooses the next token from a row of logits: the one numpy sampler for every backend, reproducible by seed.

Order, as in llama.cpp: grammar mask, logit bias, penalties, top-k, typical, top-p, min-p, temperature, draw. At
temperature 0 the best token after mask, bias and penalties is taken, whatever the truncation says. Nothing here depends
on how requests were batched, preempted or speculated: a draw is a function of seed, position, logits and history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Seq

import numpy as np
from numpy.typing import NDArray

from edgellm.backends.batch import Logits, Rows
from edgellm.engine.ranking import best, leading, mass, reaching, weights
from edgellm.engine.truncation import survivors
from edgellm.errors import BackendError, RequestError
from edgellm.request import SamplingParams

Mask = NDArray[np.bool_]

# Below this, differences that float32 logits cannot even express would decide: that is greedy.
_COLDEST = 1e-6
# Beyond this a bias is a ban, and below this a repetition penalty would overflow float32.
_LARGEST_BIAS, _LEAST_REPETITION = 1e9, 1e-9
_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Sampler:
    """How one sequence's tokens are chosen; holds settings only, no state, so draws may come in any order.

    `seed` (0 .. 2**64-1) is final: the caller's, or one drawn for a request without. Raises RequestError when
    `logit_bias` names a token outside the vocabulary or is not a number.
    """

    def __init__(self, params: SamplingParams, seed: int, vocabulary_size: int) -> None:
        _check_bias(params.logit_bias, vocabulary_size)
        self._params = params
        self._seed = seed
        self._size = vocabulary_size
        self._greedy = params.temperature < _COLDEST
        self._bias_ids = np.array(list(params.logit_bias), np.intp)
        self._bias = np.array([b if b >= -_LARGEST_BIAS else -np.inf for b in params.logit_bias.values()], np.float32)
        neutral = params.repetition_penalty == 1.0 and not params.frequency_penalty and not params.presence_penalty
        self._penalizes = not neutral and params.penalty_window != 0

    @property
    def greedy(self) -> bool:
        """Whether the best token is taken: then any that is allowed and best of all is best of those allowed."""
        return self._greedy

    def draw(self, rows: Rows, row: int, position: int, history: Seq[int], mask: Mask | None = None) -> int:
        """Next token at `position` of its sequence after `history` (prompt and everything accepted).

        `mask`, shape (vocabulary,), is True where a token is allowed; no other is ever returned. Raises BackendError
        when the row is not made of numbers, RequestError when mask and bias leave no token to choose.
        """
        if self._greedy and mask is None and not self._penalizes and not self._bias_ids.size:
            token = rows.argmax(row)
            # A NaN or infinity anywhere wins (or spoils) the argmax, so looking at the winner is enough.
            _check_top(rows.logits(row)[token])
            return token
        values = self._adjusted(rows.logits(row), history, mask)
        if self._greedy:
            return int(values.argmax())
        return _pick(values, self._params, uniform(self._seed, position))

    def _adjusted(self, logits: Logits, history: Seq[int], mask: Mask | None) -> Logits:
        """The row after mask, bias and penalties: a copy wherever anything changed. Its maximum is finite."""
        assert logits.shape == (self._size,), f"a row of {logits.shape} logits for {self._size} tokens"
        _check_top(logits.max())
        if mask is None and not self._penalizes and not self._bias_ids.size:
            return logits
        values = logits.copy() if mask is None else _masked(logits, mask)
        values[self._bias_ids] += self._bias
        if self._penalizes:
            _penalize(values, history, self._params)
        if values.max() == -np.inf:
            raise RequestError("no token is left to choose: relax logit_bias or the grammar, which together ban all")
        return values


def uniform(seed: int, position: int) -> float:
    """The one random number of a position, in [0, 1): splitmix64 started at mix(seed), its output number `position`."""
    return (_mix(_mix(seed) + (position + 1) * _GOLDEN) >> 11) * 2.0**-53


def logprobs(logits: Logits, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural-log probabilities by the raw `logits`: of `token`, and of the `top` best as (id, logprob), best first.

    Ties go by id; a token of logit -inf has -inf and is never among the best. Raises BackendError as `draw` does.
    """
    highest = logits.max()
    _check_top(highest)
    whole = float(highest) + math.log(mass(logits))
    ids = best(logits, top) if top else ()
    return float(logits[token]) - whole, [(int(i), float(logits[i]) - whole) for i in ids]


def _pick(values: Logits, params: SamplingParams, chance: float) -> int:
    """Inverse of the distribution function over the surviving tokens in canonical order."""
    ids = survivors(values, params)
    if ids is None:
        return int(leading(values, chance, params.temperature)[-1])
    summed = weights(values[ids], params.temperature).cumsum()
    return int(ids[reaching(summed, chance * float(summed[-1])) - 1])


def _masked(logits: Logits, mask: Mask) -> Logits:
    """A copy with -inf where `mask` is False, by whichever side is shorter: `np.where` mispredicts its way to 1 ms."""
    assert mask.shape == logits.shape, f"a mask of {mask.shape} for {logits.shape} logits"
    if 2 * np.count_nonzero(mask) > mask.size:
        values = logits.copy()
        values[np.flatnonzero(~mask)] = -np.inf
        return values
    allowed = np.flatnonzero(mask)
    values = np.full_like(logits, -np.inf)
    values[allowed] = logits[allowed]
    return values


def _penalize(values: Logits, history: Seq[int], params: SamplingParams) -> None:
    """Lower in place what was said in the last `penalty_window` tokens of `history` (-1: all of it)."""
    recent = history if params.penalty_window < 0 else history[-params.penalty_window :]
    tokens = np.asarray(recent, np.intp)
    ids, often = np.unique(tokens[(tokens >= 0) & (tokens < values.size)], return_counts=True)
    said = values[ids]
    repetition = np.float32(max(params.repetition_penalty, _LEAST_REPETITION))
    # Dividing a negative logit would raise it.
    said = np.where(said <= 0, said * repetition, said / repetition)
    frequency, presence = np.float32(params.frequency_penalty), np.float32(params.presence_penalty)
    values[ids] = said - (often.astype(np.float32) * frequency + presence)


def _check_bias(logit_bias: dict[int, float], vocabulary_size: int) -> None:
    for token, bias in logit_bias.items():
        if not 0 <= token < vocabulary_size:
            raise RequestError(
                f"logit_bias names token {token}, but the model's tokens are 0 to {vocabulary_size - 1}: "
                "use ids of this model's own vocabulary"
            )
        if not bias <= _LARGEST_BIAS:
            raise RequestError(f"logit_bias of token {token} is {bias}: give a number, usually between -100 and 100")


def _check_top(top: np.float32) -> None:
    """The row's maximum is finite unless the row has a NaN, a +inf, or nothing but -inf."""
    if not np.isfinite(top):
        raise BackendError(
            "the model computed logits that are not numbers: its file may be damaged, or this backend cannot run it; "
            "check the file, or try another backend or quantization"
        )


def _mix(word: int) -> int:
    """The finalizer of splitmix64: every bit of 64 changes about half of the others."""
    word &= _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
