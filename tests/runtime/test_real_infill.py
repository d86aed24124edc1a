"""Real weights: what is put around a hole is, to the token, what llama-server puts there, and so is the filling."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.errors import Unsupported
from edgellm.events import Text
from edgellm.model import ModelInfo
from edgellm.request import GREEDY, ChatRequest, Infill, SourceFile
from edgellm.runtime.local_model import LocalModel
from tests import models

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

CPP = Infill(
    "#include <cstdio>\n\nint main() {\n",
    "}\n",
    "    int n_threads = llama_",
    (SourceFile("llama.h", "LLAMA_API int32_t llama_n_threads();\n"), SourceFile("tmp", "no name\n")),
)
PYTHON = Infill("def fib(n):\n", "\n    return a\n", files=())
# Recorded from llama-server's own /infill: its prompt, how many tokens that is, and eight tokens at temperature 0.
RECORDED = [
    (
        CPP,
        "<|repo_name|>myproject\n<|file_sep|>llama.h\nLLAMA_API int32_t llama_n_threads();\n<|file_sep|>tmp\nno name\n"
        "<|file_sep|>filename\n<|fim_prefix|>#include <cstdio>\n\nint main() {\n    int n_threads = llama_"
        "<|fim_suffix|>}\n<|fim_middle|>",
        48,
        'n_threads();\n    printf("Number of',
    ),
    (
        PYTHON,
        "<|repo_name|>myproject\n<|file_sep|>filename\n<|fim_prefix|>def fib(n):\n<|fim_suffix|>\n    return a\n"
        "<|fim_middle|>",
        19,
        "    if n <= 1:\n       ",
    ),
]


def opened(name: str) -> LocalModel:
    path = models.path(name)
    settings = ModelSettings(context=1024, slots=2, parallel=2)
    return LocalModel(lambda: LlamaCppBackend.load(path, settings), settings, ModelInfo(name=name))


def test_as_llama_server_does_it() -> None:
    asyncio.run(_compare(opened("qwen-0.5b")))


async def _compare(model: LocalModel) -> None:
    try:
        for input, prompt, count, filling in RECORDED:
            ids = await model.tokenize(input)
            vocabulary: Any = model._engine.backend.vocabulary  # type: ignore[union-attr]
            assert b"".join(vocabulary.piece(id, special=True) for id in ids).decode() == prompt
            assert len(ids) == count
            events = model.stream(ChatRequest(input=input, sampling=GREEDY, max_tokens=8))
            assert "".join([event.text async for event in events if isinstance(event, Text)]) == filling
    finally:
        await model.aclose()


def test_a_model_without_tokens_for_it() -> None:
    async def ask() -> None:
        model = opened("smollm2")
        try:
            with pytest.raises(Unsupported, match="fill in the middle"):
                await model.tokenize(PYTHON)
        finally:
            await model.aclose()

    asyncio.run(ask())
