"""Real weights: our greedy text is llama.cpp's own, alone, eight at once, and with prefixes reused.

Batches of other sizes round otherwise in the native kernels, so where texts part, the two tokens must be closer than
that rounding, measured on the spot: those near ties are printed (`pytest -s`), everything else is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.backends.llamacpp.threads import default_threads
from edgellm.config import ModelSettings
from edgellm.engine.common_prefix import common_prefix
from edgellm.engine.host_tier import SHORTEST
from edgellm.events import Text
from edgellm.model import ModelInfo
from edgellm.request import GREEDY, ChatRequest, TokenIds, ask
from edgellm.runtime.local_model import LocalModel
from tests import models
from tests.doubles.plain_llamacpp import PlainDecoder

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

Result = TypeVar("Result")

TOKENS = 64
PROMPTS = (
    "What is the capital of France, and what is it known for?",
    "Write a Python function that reverses a linked list.",
    "Explain photosynthesis to a ten-year-old.",
    "List five uses of a paper clip.",
    "Translate into German: The weather is nice today, let us go for a walk.",
    "Why is the sky blue?",
    "Write a short poem about rain on a tin roof.",
    "What does this do? `for i in range(10): print(i * i)`",
    "Summarize the story of the three little pigs in two sentences.",
    "How do I make a good cup of coffee?",
)


class Ours:
    """Our model on an event loop of its own."""

    def __init__(self, path: Path, **settings: Any) -> None:
        chosen = ModelSettings(context=8192, slots=32, parallel=8, **settings)
        self.model = LocalModel(lambda: LlamaCppBackend.load(path, chosen), chosen, ModelInfo(name=path.stem))
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(work)

    def tokens(self, prompts: list[list[int]]) -> list[list[int]]:
        """What it writes after each of `prompts`, all asked at once, without end tokens."""

        async def one(prompt: list[int]) -> list[int]:
            request = ChatRequest(input=TokenIds(tuple(prompt)), sampling=GREEDY, max_tokens=TOKENS, logprobs=0)
            stream = self.model.stream(request)
            return [entry.token async for event in stream if isinstance(event, Text) for entry in event.logprobs]

        async def all_at_once() -> list[list[int]]:
            return await asyncio.gather(*map(one, prompts))

        return self.run(all_at_once())

    def close(self) -> None:
        self.run(self.model.aclose())
        self._loop.close()


@dataclass
class Bench:
    """One model, loaded by us and plainly, and what the plain one wrote: tokens, and the logits before each."""

    path: Path
    ours: Ours
    plain: PlainDecoder
    prompts: list[list[int]]
    expected: list[tuple[list[int], list[NDArray[np.float32]]]]

    @cached_property
    def rounding(self) -> float:
        """The most that logits move when batch sizes and cells differ, over two of the texts."""
        samples = [(self.prompts[i] + self.expected[i][0][:20], self.expected[i][1][20]) for i in (1, 5)]
        return max(self.plain.rounding(tokens, row) for tokens, row in samples)


@pytest.fixture(scope="module", params=["smollm2", pytest.param("qwen-0.5b", marks=pytest.mark.slow)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    path = models.path(request.param)
    ours, plain = Ours(path), PlainDecoder(path, default_threads())
    prompts = [ours.run(ours.model.tokenize(ask(text).input)) for text in PROMPTS]
    yield Bench(path, ours, plain, prompts, [plain.greedy(prompt, TOKENS) for prompt in prompts])
    ours.close()
    plain.close()


def check(bench: Bench, found: list[list[int]], how: str) -> None:
    """Compare with the expected texts: where they part, the gap must be rounding (of both tokens, with a margin)."""
    for text, (tokens, rows) in zip(found, bench.expected, strict=True):
        if text == tokens:
            continue
        at = common_prefix(text, 0, tokens, 0, TOKENS)
        # Where one of the two ended, the rival is an end token: then the two best logits are what we compare.
        rival = text[at] if max(at, 1) < min(len(text), len(tokens)) else int(np.argsort(rows[at])[-2])
        gap = float(rows[at].max() - rows[at][rival])
        print(f"near tie, {how}: after {at} tokens, logits {gap:.4f} apart, rounding {bench.rounding:.4f}")
        assert gap <= 3 * bench.rounding, (how, at, gap, bench.rounding)


def test_alone_to_the_bit(bench: Bench) -> None:
    ours = Ours(bench.path, prefix_cache=False)
    found = [ours.tokens([prompt])[0] for prompt in bench.prompts]
    ours.close()
    assert found == [tokens for tokens, _ in bench.expected]


def test_eight_at_once(bench: Bench) -> None:
    check(bench, bench.ours.tokens(bench.prompts), "eight at once")


def test_with_prefixes_reused(bench: Bench) -> None:
    bench.ours.tokens(bench.prompts)
    before = bench.ours.run(bench.ours.model.status()).tokens_reused
    check(bench, bench.ours.tokens(bench.prompts), "prefixes reused")
    reused = bench.ours.run(bench.ours.model.status()).tokens_reused - before
    # A prompt that left the KV comes back unless what is there already gives nearly as much.
    assert reused > sum(len(prompt) - 1 - SHORTEST for prompt in bench.prompts)


def test_a_conversation_is_rendered_by_the_models_own_template(bench: Bench) -> None:
    ids = bench.ours.run(bench.ours.model.tokenize(ask("Hi").input))
    engine = bench.ours.model._engine
    assert engine is not None
    text = b"".join(engine.backend.vocabulary.piece(token, special=True) for token in ids)
    assert text.endswith(b"<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
