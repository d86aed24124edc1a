"""Real weights in MLX's and ONNX Runtime's formats: the library's own greedy tokens, and texts as likely as in GGUF."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgellm.config import Settings
from edgellm.events import Text
from edgellm.messages import user
from edgellm.model import Model
from edgellm.request import GREEDY, ChatRequest, Conversation, TokenIds
from edgellm.runtime import assemble
from scripts.benchmarks.backends import perplexity
from scripts.benchmarks.own_loops import LOOPS
from tests import models

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(900)]

THREADS = 2
QUESTIONS = ("Why is the sky blue?", "List five uses of a paper clip.", "What is the capital of France?")
LIKELY = {"mlx": 1.05, "onnx": 1.35}
"""Times the perplexity that the GGUF file has: MLX's folder has the same weights, ONNX Runtime's is quantized anew."""


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"mlx": "mlx_lm", "onnx": "onnxruntime_genai"}[request.param])
    return str(request.param)


@pytest.fixture
def folder(kind: str) -> Path:
    return models.folder(f"smollm2-{kind}")


def test_greedy_tokens_are_the_librarys_own(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELLM_HOME", str(tmp_path))
    count = {"mlx": 4, "onnx": 24}[kind]
    prompts, answers = asyncio.run(_answers(folder, count))
    write = LOOPS[kind](folder, THREADS)
    own = [write(prompt, count).tokens for prompt in prompts]
    assert [answer[: len(tokens)] for answer, tokens in zip(answers, own, strict=True)] == own


async def _answers(folder: Path, count: int) -> tuple[list[list[int]], list[list[int]]]:
    settings = Settings(backend="auto", threads=THREADS, context=512, speculation="off")
    model = assemble.open_model(str(folder), settings)
    try:
        prompts = [await model.tokenize(Conversation((user(question),))) for question in QUESTIONS]
        return prompts, [await _tokens(model, prompt, count) for prompt in prompts]
    finally:
        await model.aclose()


async def _tokens(model: Model, prompt: list[int], count: int) -> list[int]:
    request = ChatRequest(input=TokenIds(tuple(prompt)), sampling=GREEDY, max_tokens=count, logprobs=0, ignore_eos=True)
    events = [event async for event in model.stream(request)]
    return [score.token for event in events if isinstance(event, Text) for score in event.logprobs]


def test_a_text_is_as_likely_as_to_the_gguf_file(kind: str, folder: Path) -> None:
    text = {"mlx": 64, "onnx": 192}[kind]
    of_gguf = perplexity(models.path("smollm2"), THREADS, text)
    assert perplexity(folder, THREADS, text) < LIKELY[kind] * of_gguf
