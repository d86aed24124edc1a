"""Real weights: guessing ahead changes neither the text nor the distribution it is drawn from."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.backends.llamacpp.threads import default_threads
from edgellm.config import ModelSettings
from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.loss_account import LossAccount
from edgellm.events import Finished, Text, Timings
from edgellm.model import ModelInfo
from edgellm.request import GREEDY, ChatRequest, SamplingParams, Speculation, TokenIds, ask
from edgellm.runtime.local_model import LocalModel
from edgellm.runtime.speculation import Forgetful
from tests import models
from tests.doubles.plain_llamacpp import PlainDecoder

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

Result = TypeVar("Result")
TOKENS = 64
SAMPLES, AT_ONCE = 400, 8
POINTS = dict.fromkeys((1, 2, 4, 8, 16), 10.0)
LIST = "alpha, beta, gamma, delta, epsilon, zeta, eta, theta, iota, kappa, lambda, mu, nu, xi, omicron, pi, rho, sigma"
PROMPTS = (
    f"Repeat this list twice, word for word: {LIST}",
    "Copy this code:\ndef add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n",
    "Why is the sky blue?",
)


class CheapRows(Forgetful):
    """Says that rows cost nothing, so that much is guessed on any machine."""

    def read(self) -> dict[int, float]:
        return POINTS


class Speculating:
    """SmolLM2 that guesses ahead, on an event loop of its own."""

    def __init__(self, path: Path) -> None:
        chosen = ModelSettings(context=4096, slots=16, parallel=8)
        self.model = LocalModel(
            lambda: LlamaCppBackend.load(path, chosen), chosen, ModelInfo(name=path.stem), remembered=CheapRows()
        )
        self._loop = asyncio.new_event_loop()
        self.run(self.model.start())
        engine = self.model._engine
        assert engine is not None
        # The true costs would decide otherwise on each machine.
        engine.proposer.tidy = lambda: False  # type: ignore[method-assign]

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(work)

    async def one(self, prompt: list[int], tokens: int, **options: Any) -> tuple[list[int], Timings]:
        request = ChatRequest(input=TokenIds(tuple(prompt)), max_tokens=tokens, logprobs=0, **options)
        found, timings = [], Timings()
        async for event in self.model.stream(request):
            if isinstance(event, Text):
                found += [entry.token for entry in event.logprobs]
            elif isinstance(event, Finished):
                timings = event.timings
        return found, timings

    def close(self) -> None:
        self.run(self.model.aclose())
        self._loop.close()


@pytest.fixture(scope="module")
def ours() -> Iterator[Speculating]:
    observe = StepTimes.observe
    with pytest.MonkeyPatch.context() as patch:
        # The true times, and what guesses then seem to lose, would decide otherwise whenever the machine is busy.
        patch.setattr(StepTimes, "observe", lambda times, rows, _, **how: observe(times, rows, POINTS[1], **how))
        patch.setattr(LossAccount, "left", lambda account, whole: math.inf)
        made = Speculating(models.path("smollm2"))
        yield made
        made.close()


def test_greedy_text_is_plain_llamacpps_but_for_near_ties(ours: Speculating) -> None:
    plain = PlainDecoder(models.path("smollm2"), default_threads())
    drafted = 0
    try:
        for text in PROMPTS:
            prompt = ours.run(ours.model.tokenize(ask(text).input))
            expected, rows = plain.greedy(prompt, TOKENS)
            found, timings = ours.run(ours.one(prompt, TOKENS, sampling=GREEDY))
            drafted += timings.draft_n_accepted
            if found == expected:
                continue
            at = common_prefix(found, 0, expected, 0, TOKENS)
            rival = found[at] if max(at, 1) < min(len(found), len(expected)) else int(np.argsort(rows[at])[-2])
            gap = float(rows[at].max() - rows[at][rival])
            rounding = plain.rounding(prompt + expected[:at], rows[at])
            print(f"near tie after {at} tokens: logits {gap:.4f} apart, rounding {rounding:.4f}")
            assert gap <= 3 * max(rounding, 0.05), (text, at, gap, rounding)
    finally:
        plain.close()
    assert drafted > 20


@pytest.mark.slow
def test_the_distribution_of_a_guessed_token_is_the_models_own(ours: Speculating) -> None:
    """Two samples by different seeds, with guesses and without: a chi-square test of homogeneity."""
    # In the middle of a copy, so that there is something to guess from the first token on.
    whole = ours.run(ours.model.tokenize(ask(f"Repeat: {LIST}").input))
    prompt, tokens, drafts = [*whole, *whole[-40:-15]], 4, 0

    async def several(mode: Speculation, seeds: range) -> list[tuple[list[int], Timings]]:
        def params(seed: int) -> SamplingParams:
            return SamplingParams(temperature=1.3, top_k=0, top_p=1.0, min_p=0.0, seed=seed)

        return await asyncio.gather(
            *(ours.one(prompt, tokens, sampling=params(s), speculation=mode, ignore_eos=True) for s in seeds)
        )

    def sample(mode: Speculation, first: int) -> Counter[int]:
        nonlocal drafts
        counts: Counter[int] = Counter()
        for begin in range(first, first + SAMPLES, AT_ONCE):
            for found, timings in ours.run(several(mode, range(begin, begin + AT_ONCE))):
                counts[found[-1]] += 1
                drafts += timings.draft_n
        return counts

    guessed = sample("auto", 0)
    assert drafts > 40
    plain = sample("off", 10_000)
    frequent = [token for token, count in (guessed + plain).items() if count >= 12]
    table = np.array(
        [[*(s[t] for t in frequent), sum(s.values()) - sum(s[t] for t in frequent)] for s in (guessed, plain)]
    )
    expected = table.sum(axis=0) * 0.5
    statistic = float(((table - expected) ** 2 / expected).sum())
    degrees = len(frequent)
    # Far beyond the 99.9th percentile of the distribution with so many degrees of freedom.
    assert statistic < degrees + 4.5 * (2 * degrees) ** 0.5 + 4, (statistic, degrees)
