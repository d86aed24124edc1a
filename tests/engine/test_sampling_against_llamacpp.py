"""The sampler against llama.cpp's own chain on the same logits: the same candidates, probabilities and frequencies."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from edgellm.backends.batch import Logits
from edgellm.engine.ranking import weights
from edgellm.engine.sampling import Sampler
from edgellm.engine.truncation import survivors
from edgellm.request import SamplingParams

llama = pytest.importorskip("llama_cpp.llama_cpp")

SIZE = 1_000
DRAWS = 20_000
HISTORY = np.random.default_rng(8).integers(0, 60, 100).tolist()
OFF: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}

SETTINGS = {
    "defaults": SamplingParams(),
    "temperature only": SamplingParams(temperature=1.0, **OFF),
    "cold": SamplingParams(temperature=0.3, **OFF),
    "hot top-p": SamplingParams(temperature=1.7, top_k=0, top_p=0.9, min_p=0.0),
    "top-k": SamplingParams(temperature=1.2, top_k=12, top_p=1.0, min_p=0.0),
    "min-p": SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.08),
    "top-p and min-p": SamplingParams(temperature=1.1, top_k=0, top_p=0.8, min_p=0.02),
    "typical": SamplingParams(temperature=0.9, typical_p=0.6, **OFF),
    "typical after top-k": SamplingParams(typical_p=0.7, top_k=100),
    "penalties": SamplingParams(repetition_penalty=1.3, frequency_penalty=0.2, presence_penalty=0.4, **OFF),
    "penalties, all of the text": SamplingParams(repetition_penalty=0.8, frequency_penalty=0.1, penalty_window=-1),
    "bias": SamplingParams(logit_bias={0: 4.0, 7: -100.0, 11: 2.5, 999: -math.inf}, top_k=0),
    "everything": SamplingParams(
        temperature=1.4,
        top_k=200,
        typical_p=0.95,
        top_p=0.9,
        min_p=0.01,
        repetition_penalty=1.15,
        presence_penalty=-0.5,
        logit_bias={3: 3.0},
    ),
}
# The costly ones that tell most; the others are compared by probability alone.
DRAWN = ("defaults", "temperature only", "hot top-p", "min-p", "typical", "penalties", "bias", "everything")


class FixedRow:
    def __init__(self, logits: Logits) -> None:
        self._logits = logits

    def __len__(self) -> int:
        return 1

    def wait(self) -> None: ...

    def argmax(self, row: int) -> int:
        return int(self._logits.argmax())

    def logits(self, row: int) -> Logits:
        return self._logits


def fixed_logits(size: int = SIZE) -> Logits:
    """Some tokens worth saying over a wide floor, as models have it."""
    random = np.random.default_rng(20)
    logits = random.normal(0.0, 2.0, size)
    logits[random.permutation(60)] += np.linspace(2.0, 7.0, 60)
    return logits.astype(np.float32)


def chain_of(params: SamplingParams, size: int, history: list[int]) -> Any:
    """llama.cpp's default order (common.h), dist at the end so that it leaves its probabilities behind."""
    biases = (llama.llama_logit_bias * len(params.logit_bias))(*params.logit_bias.items())
    window = params.penalty_window if params.penalty_window >= 0 else len(history)
    penalties = (params.repetition_penalty, params.frequency_penalty, params.presence_penalty)
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for link in (
        llama.llama_sampler_init_logit_bias(size, len(biases), biases),
        llama.llama_sampler_init_penalties(size, window, *penalties),
        llama.llama_sampler_init_top_k(params.top_k),
        llama.llama_sampler_init_typical(params.typical_p, 0),
        llama.llama_sampler_init_top_p(params.top_p, 0),
        llama.llama_sampler_init_min_p(params.min_p, 0),
        llama.llama_sampler_init_temp(params.temperature),
        llama.llama_sampler_init_dist(1),
    ):
        llama.llama_sampler_chain_add(chain, link)
    for token in history:
        llama.llama_sampler_accept(chain, token)
    return chain


def theirs(params: SamplingParams, logits: Logits, history: list[int]) -> tuple[dict[int, float], int]:
    """Probabilities by id that llama.cpp's chain arrives at, and the token that it selects."""
    data = (llama.llama_token_data * logits.size)(*((i, float(x), 0.0) for i, x in enumerate(logits)))
    candidates = llama.llama_token_data_array(data, logits.size, -1, False)
    chain = chain_of(params, logits.size, history)
    try:
        llama.llama_sampler_apply(chain, ctypes.byref(candidates))
    finally:
        llama.llama_sampler_free(chain)
    found = [candidates.data[i] for i in range(candidates.size)]
    return {entry.id: entry.p for entry in found if entry.p > 0.0}, found[candidates.selected].id


def ours(params: SamplingParams, logits: Logits, history: list[int]) -> dict[int, float]:
    values = Sampler(params, 0, logits.size)._adjusted(logits, history, None)
    ids = survivors(values, params)
    if ids is None:
        ids = np.argsort(-values, kind="stable")
    chances = weights(values[ids], params.temperature)
    chances /= chances.sum()
    return {int(token): float(chance) for token, chance in zip(ids, chances, strict=True) if chance > 1e-44}


@pytest.mark.parametrize("name", SETTINGS)
def test_same_candidates_and_probabilities(name: str) -> None:
    logits = fixed_logits()
    expected, _ = theirs(SETTINGS[name], logits, HISTORY)
    found = ours(SETTINGS[name], logits, HISTORY)
    assert found.keys() == expected.keys()
    assert [found[token] for token in expected] == pytest.approx(list(expected.values()), rel=1e-4)


@pytest.mark.parametrize("name", ["defaults", "top-p and min-p", "typical after top-k"])
def test_same_candidates_and_probabilities_in_a_large_vocabulary(name: str) -> None:
    logits = fixed_logits(151_936)
    expected, _ = theirs(SETTINGS[name], logits, HISTORY)
    found = ours(SETTINGS[name], logits, HISTORY)
    # llama.cpp adds 150,000 probabilities up in float32, so the last candidate at top-p's edge may differ.
    different = found.keys() ^ expected.keys()
    assert len(different) <= 1
    assert sum(found.get(token, 0.0) + expected.get(token, 0.0) for token in different) < 1e-3
    assert [found.get(token, 0.0) for token in expected] == pytest.approx(list(expected.values()), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", DRAWN)
def test_draws_follow_llama_cpps_probabilities(name: str) -> None:
    params, logits = SETTINGS[name], fixed_logits()
    expected, _ = theirs(params, logits, HISTORY)
    sampler, rows = Sampler(params, 2_024, SIZE), FixedRow(logits)
    counts = Counter(sampler.draw(rows, 0, position, HISTORY) for position in range(DRAWS))
    assert counts.keys() <= expected.keys()
    assert chi_square_p(counts, expected) > 1e-4


def test_greedy_after_penalties_selects_the_same_token() -> None:
    params = SamplingParams(temperature=0.0, repetition_penalty=1.2, frequency_penalty=0.3, logit_bias={5: 1.0}, **OFF)
    for seed in range(20):
        logits = np.random.default_rng(seed).normal(0.0, 3.0, SIZE).astype(np.float32)
        _, selected = theirs(params, logits, HISTORY)
        assert Sampler(params, 0, SIZE).draw(FixedRow(logits), 0, 0, HISTORY) == selected


def test_the_chi_square_tells_a_wrong_temperature() -> None:
    """The comparison above would notice: draws at 0.8 are not taken for draws at 0.85."""
    logits = fixed_logits()
    expected, _ = theirs(SamplingParams(temperature=0.85, **OFF), logits, [])
    sampler, rows = Sampler(SamplingParams(temperature=0.8, **OFF), 2_024, SIZE), FixedRow(logits)
    counts = Counter(sampler.draw(rows, 0, position, []) for position in range(5_000))
    assert chi_square_p(counts, expected) < 1e-4


def chi_square_p(counts: Counter[int], probabilities: dict[int, float]) -> float:
    """Chance of counts at least as uneven (Wilson and Hilferty); tokens expected under 5 times make one cell."""
    draws = counts.total()
    cells, rare = [], [0.0, 0.0]
    for token, probability in probabilities.items():
        if draws * probability >= 5:
            cells.append((counts[token], draws * probability))
        else:
            rare[0] += counts[token]
            rare[1] += draws * probability
    if rare[1] >= 5:
        cells.append((rare[0], rare[1]))
    freedom = len(cells) - 1
    statistic = sum((seen - due) ** 2 / due for seen, due in cells)
    scale = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - scale)) / math.sqrt(scale)
    return 0.5 * math.erfc(z / math.sqrt(2))
