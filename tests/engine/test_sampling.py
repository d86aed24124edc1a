"""The sampler: what it draws, what it must not touch, and what its random numbers depend on."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgellm.backends.batch import Logits
from edgellm.engine.sampling import Sampler, logprobs, uniform
from edgellm.errors import BackendError, RequestError
from edgellm.request import GREEDY, SamplingParams

SIZE = 500
PLAIN = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


class FixedRows:
    """Rows that a test wrote, locked against writing as a borrowed buffer ought to be."""

    def __init__(self, *rows: Logits) -> None:
        self.rows = rows
        for row in rows:
            row.flags.writeable = False

    def __len__(self) -> int:
        return len(self.rows)

    def wait(self) -> None: ...

    def argmax(self, row: int) -> int:
        return int(self.rows[row].argmax())

    def logits(self, row: int) -> Logits:
        return self.rows[row]


def random_row(seed: int = 0, size: int = SIZE) -> Logits:
    return np.random.default_rng(seed).normal(0.0, 3.0, size).astype(np.float32)


def draw(row: Logits, params: SamplingParams, history: list[int] | None = None, **options: object) -> int:
    return Sampler(params, seed=1, vocabulary_size=row.size).draw(FixedRows(row), 0, 0, history or [], **options)  # type: ignore[arg-type]


def shares(row: Logits, params: SamplingParams, draws: int = 4_000, history: tuple[int, ...] = ()) -> dict[int, float]:
    """How often each token comes out over many positions."""
    sampler, rows = Sampler(params, seed=5, vocabulary_size=row.size), FixedRows(row)
    counts = Counter(sampler.draw(rows, 0, position, history) for position in range(draws))
    return {token: count / draws for token, count in counts.items()}


# Greedy


def test_greedy_takes_the_backends_argmax() -> None:
    class Marked(FixedRows):
        def argmax(self, row: int) -> int:
            return 77

    assert Sampler(GREEDY, 0, SIZE).draw(Marked(random_row()), 0, 0, []) == 77


def test_greedy_ties_go_to_the_lowest_id() -> None:
    row = np.zeros(SIZE, np.float32)
    row[[30, 20, 40]] = 9.0
    assert draw(row, GREEDY) == 20
    assert draw(row.copy(), GREEDY, mask=np.arange(SIZE) > 20) == 30


@pytest.mark.parametrize("temperature", [1e-300, 1e-12, 1e-5])
def test_next_to_no_temperature_is_greedy(temperature: float) -> None:
    row = random_row()
    assert draw(row, SamplingParams(temperature=temperature)) == int(row.argmax())
    assert draw(row, SamplingParams(temperature=temperature, top_k=0, top_p=1.0, min_p=0.0)) == int(row.argmax())


def test_greedy_ignores_truncation_even_where_typical_drops_the_best() -> None:
    row = np.log(np.array([0.4] + [0.01] * 60)).astype(np.float32)
    assert draw(row, SamplingParams(temperature=0.0, typical_p=0.5, logit_bias={7: 0.001})) == 0


# Bias


def test_bias_decides_greedy_and_bans() -> None:
    row = random_row()
    best = int(row.argmax())
    assert draw(row, SamplingParams(temperature=0.0, logit_bias={3: 100.0})) == 3
    for ban in (-100.0, -math.inf, -1e300):
        second = int(np.argsort(-row)[1])
        assert draw(row, SamplingParams(temperature=0.0, logit_bias={best: ban})) == second


@pytest.mark.parametrize("token", [-1, SIZE, 10**9])
def test_bias_out_of_range_is_refused_at_once(token: int) -> None:
    with pytest.raises(RequestError, match=f"token {token}.*0 to {SIZE - 1}"):
        Sampler(SamplingParams(logit_bias={token: 1.0}), 0, SIZE)


@pytest.mark.parametrize("bias", [math.nan, math.inf, 1e30])
def test_bias_that_would_spoil_the_row_is_refused(bias: float) -> None:
    with pytest.raises(RequestError, match="logit_bias of token 4"):
        Sampler(SamplingParams(logit_bias={4: bias}), 0, SIZE)


def test_bias_shifts_the_distribution_by_its_exponent() -> None:
    row = np.zeros(2, np.float32)
    params = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, logit_bias={1: math.log(3.0)})
    assert shares(row, params)[1] == pytest.approx(0.75, abs=0.03)


# Penalties


def penalized(row: Logits, history: list[int], params: SamplingParams) -> list[float]:
    """The reference: llama.cpp's loop over tokens, in plain Python."""
    window = history[-params.penalty_window :] if params.penalty_window > 0 else history
    counts = Counter(window if params.penalty_window != 0 else [])
    result = []
    for token, logit in enumerate(map(float, row)):
        if token in counts:
            logit = logit * params.repetition_penalty if logit <= 0 else logit / params.repetition_penalty
            logit -= counts[token] * params.frequency_penalty + params.presence_penalty
        result.append(logit)
    return result


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 19), max_size=90),
    st.sampled_from((-1, 0, 1, 5, 64)),
    st.sampled_from((0.5, 1.0, 1.3)),
    st.sampled_from((-1.5, 0.0, 0.25)),
    st.sampled_from((-2.0, 0.0, 0.7)),
)
def test_penalties_are_llama_cpps(
    seed: int, history: list[int], window: int, repetition: float, frequency: float, presence: float
) -> None:
    row = random_row(seed, 20)
    params = SamplingParams(
        temperature=0.0,
        repetition_penalty=repetition,
        frequency_penalty=frequency,
        presence_penalty=presence,
        penalty_window=window,
    )
    expected = penalized(row, history, params)
    assert expected[draw(row, params, history)] == pytest.approx(max(expected), abs=1e-4)


def test_penalties_look_at_the_window_only() -> None:
    row = np.zeros(10, np.float32)
    row[4], row[5] = 2.0, 1.0
    history = [4, 1, 2, 3]
    for window, expected in ((3, 4), (4, 5), (-1, 5), (0, 4)):
        params = SamplingParams(temperature=0.0, presence_penalty=1.5, penalty_window=window)
        assert draw(row, params, history) == expected


def test_penalties_take_tuples_and_skip_ids_outside_the_vocabulary() -> None:
    row = random_row()
    best = int(row.argmax())
    params = SamplingParams(temperature=0.0, presence_penalty=0.0, repetition_penalty=1.0001)
    sampler = Sampler(params, 0, SIZE)
    assert sampler.draw(FixedRows(row), 0, 0, (-1, SIZE, SIZE + 7)) == best


# The grammar's mask


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, SIZE),
    st.sampled_from((0.0, 0.8, 2.0)),
    st.sampled_from((0, 1, 40)),
    st.sampled_from((0.1, 1.0)),
    st.sampled_from((0.5, 1.0)),
)
def test_a_masked_token_is_never_drawn(
    seed: int, allowed: int, temperature: float, top_k: int, top_p: float, typical_p: float
) -> None:
    row = random_row(seed)
    mask = np.zeros(SIZE, np.bool_)
    # The worst tokens: everything that truncation would keep is masked.
    mask[np.argsort(row)[:allowed]] = True
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, typical_p=typical_p)
    sampler = Sampler(params, seed, SIZE)
    assert all(mask[sampler.draw(FixedRows(row), 0, position, [], mask)] for position in range(5))


def test_masking_equals_drawing_from_the_rest() -> None:
    row, mask = random_row(), np.random.default_rng(1).random(SIZE) < 0.3
    rest = np.flatnonzero(mask)
    sampler, small = Sampler(SamplingParams(), 3, SIZE), Sampler(SamplingParams(), 3, rest.size)
    rows, rest_rows = FixedRows(row), FixedRows(row[rest])
    for position in range(200):
        assert sampler.draw(rows, 0, position, [], mask) == rest[small.draw(rest_rows, 0, position, [])]


def test_mask_beats_a_favourite_of_the_bias() -> None:
    mask = np.ones(SIZE, np.bool_)
    mask[3] = False
    assert draw(random_row(), SamplingParams(logit_bias={3: 1000.0}), mask=mask) != 3


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_nothing_left_to_choose_is_said(temperature: float) -> None:
    only = np.zeros(SIZE, np.bool_)
    only[9] = True
    with pytest.raises(RequestError, match="no token is left"):
        draw(random_row(), SamplingParams(temperature=temperature, logit_bias={9: -math.inf}), mask=only)
    with pytest.raises(RequestError, match="no token is left"):
        draw(random_row(), SamplingParams(temperature=temperature), mask=np.zeros(SIZE, np.bool_))


# Broken rows


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(), PLAIN, SamplingParams(repetition_penalty=1.1)])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_row_that_is_not_numbers_is_the_backends_fault(params: SamplingParams, poison: float) -> None:
    row = random_row()
    row[123] = poison
    with pytest.raises(BackendError, match="not numbers"):
        draw(row, params)
    with pytest.raises(BackendError, match="not numbers"):
        logprobs(row, 0, 5)


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(), PLAIN, SamplingParams(logit_bias={1: 5.0})])
def test_a_row_of_nothing_is_the_backends_fault(params: SamplingParams) -> None:
    with pytest.raises(BackendError):
        draw(np.full(SIZE, -np.inf, np.float32), params)


def test_masking_the_broken_entry_does_not_hide_it() -> None:
    row = random_row()
    row[0] = np.nan
    mask = np.ones(SIZE, np.bool_)
    mask[0] = False
    with pytest.raises(BackendError):
        draw(row, SamplingParams(), mask=mask)


# Borrowed logits


@pytest.mark.parametrize(
    "params",
    [
        GREEDY,
        PLAIN,
        SamplingParams(),
        SamplingParams(top_k=0, typical_p=0.8),
        SamplingParams(logit_bias={1: 2.0}, repetition_penalty=1.5, frequency_penalty=0.5),
        SamplingParams(temperature=0.0, presence_penalty=1.0),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_borrowed_logits_are_left_as_they_are(params: SamplingParams, masked: bool) -> None:
    row = random_row()
    before = row.copy()
    draw(row, params, [1, 2, 3, 2], mask=before > 0 if masked else None)
    logprobs(row, 5, 5)
    assert np.array_equal(row, before)


# Random numbers


def test_uniforms_are_even_over_positions_and_over_seeds() -> None:
    for numbers in (
        [uniform(42, position) for position in range(20_000)],
        [uniform(seed, 7) for seed in range(20_000)],
        [uniform(2**64 - 1 - seed, seed) for seed in range(20_000)],
    ):
        assert all(0.0 <= number < 1.0 for number in numbers)
        counts, _ = np.histogram(numbers, bins=100, range=(0.0, 1.0))
        assert chi_square_z(counts, np.full(100, 200.0)) < 4.0


@pytest.mark.parametrize(("seeds", "positions"), [(0, 1), (1, 0), (1, 1), (1, -1)])
def test_neighbouring_uniforms_are_independent(seeds: int, positions: int) -> None:
    """Pairs of (this, the next position or seed) fill the unit square evenly."""
    pairs = [
        (uniform(seed, position), uniform(seed + seeds, position + positions))
        for seed in range(0, 400, 2)
        for position in range(1, 201, 2)
    ]
    counts, _, _ = np.histogram2d(*np.array(pairs).T, bins=10, range=((0, 1), (0, 1)))
    assert chi_square_z(counts.ravel(), np.full(100, len(pairs) / 100)) < 4.0
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 4 / math.sqrt(len(pairs))


def test_uniforms_never_repeat_within_a_text() -> None:
    assert len({uniform(9, position) for position in range(50_000)}) == 50_000


def test_uniforms_stay_what_they_were() -> None:
    """A change here changes every seeded text ever produced: these numbers are a promise."""
    # Seed 0 gives the published first outputs of splitmix64.
    for position, word in enumerate((0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)):
        assert uniform(0, position) == (word >> 11) / 2**53
    assert uniform(1234, 56) == 0.13669885217308897


def test_a_draw_depends_on_seed_and_position_alone() -> None:
    """Not on the order of draws, on the row's place in the batch, or on what was drawn in between."""
    rows = FixedRows(random_row(1), random_row(2), random_row(1))
    params = SamplingParams(temperature=2.0, top_k=0, min_p=0.0)
    first, second = Sampler(params, 11, SIZE), Sampler(params, 11, SIZE)
    forwards = [first.draw(rows, 0, position, []) for position in range(300)]
    backwards = []
    for position in reversed(range(300)):
        second.draw(rows, 1, position + 1, [])
        backwards.append(second.draw(rows, 2, position, [1, 2]))
    assert forwards == backwards[::-1]
    assert len(set(forwards)) > 20
    other = Sampler(params, 12, SIZE)
    assert forwards != [other.draw(rows, 0, position, []) for position in range(300)]


def test_canonical_order_makes_close_rows_draw_alike() -> None:
    """A tail that differs by rounding does not move what the head's share of the random numbers selects."""
    row = random_row()
    nudged = row + np.float32(1e-6)
    sampler = Sampler(PLAIN, 4, SIZE)
    same = [sampler.draw(FixedRows(row), 0, n, []) == sampler.draw(FixedRows(nudged), 0, n, []) for n in range(300)]
    assert sum(same) >= 299


# Distribution


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [8, 6_000])
def test_plain_draws_follow_the_softmax(temperature: float, size: int) -> None:
    row = random_row(6, size)
    params = SamplingParams(temperature=temperature, top_k=0, top_p=1.0, min_p=0.0)
    exact = np.exp(row.astype(np.float64) / temperature)
    exact /= exact.sum()
    drawn = shares(row, params, draws=3_000)
    head = np.argsort(-exact)[:8]
    counts = [3_000 * drawn.get(int(token), 0.0) for token in head]
    expected = 3_000 * exact[head]
    rest = (3_000 - sum(counts), 3_000 - expected.sum())
    observed = np.array([*counts, rest[0]]) if rest[1] > 5 else np.array(counts)
    wanted = np.array([*expected, rest[1]]) if rest[1] > 5 else expected
    assert chi_square_z(observed, wanted) < 4.0


def chi_square_z(observed: np.ndarray, expected: np.ndarray) -> float:
    """Standard deviations by which the counts are too uneven (Wilson and Hilferty)."""
    kept = expected >= 5
    freedom = max(1, int(kept.sum()) - 1)
    statistic = float(((observed - expected)[kept] ** 2 / expected[kept]).sum())
    scale = 2 / (9 * freedom)
    return ((statistic / freedom) ** (1 / 3) - (1 - scale)) / math.sqrt(scale)


# Log-probabilities


def test_logprobs_are_the_log_softmax() -> None:
    row = random_row(3, 3_000)
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    own, top = logprobs(row, 17, 5)
    assert own == pytest.approx(exact[17], abs=1e-5)
    assert [token for token, _ in top] == np.argsort(-exact)[:5].tolist()
    assert [value for _, value in top] == pytest.approx(np.sort(exact)[::-1][:5], abs=1e-5)


def test_logprobs_of_ties_bans_and_none() -> None:
    row = np.full(6, -np.inf, np.float32)
    row[[4, 2]] = 1.0
    assert logprobs(row, 0, 0) == (-math.inf, [])
    own, top = logprobs(row, 2, 5)
    assert own == pytest.approx(math.log(0.5))
    assert top == [(2, own), (4, own)]
    assert isinstance(top[0][0], int)
    assert isinstance(top[0][1], float)
