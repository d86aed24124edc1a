"""Real weights under real schemas: every answer is a valid document, whatever the model would have written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.events import Finished, Text
from edgellm.model import ModelInfo
from edgellm.request import ChatRequest, GrammarFormat, SamplingParams, SchemaFormat, ask
from edgellm.runtime.local_model import LocalModel
from tests import models
from tests.doubles.schemas import CASES, KINDS

pytestmark = [pytest.mark.model, pytest.mark.timeout(3000)]
CHECKS = jsonschema.FormatChecker()


def opened(name: str, parallel: int) -> LocalModel:
    path = models.path(name)
    chosen = ModelSettings(context=8192, slots=parallel, parallel=parallel)
    return LocalModel(lambda: LlamaCppBackend.load(path, chosen), chosen, ModelInfo(name=name))


async def answer(model: LocalModel, request: ChatRequest) -> tuple[str, str]:
    text, reason = "", ""
    async for event in model.stream(request):
        if isinstance(event, Text):
            text += event.text
        if isinstance(event, Finished):
            reason = event.reason
    return text, reason


def asked(question: str, schema: dict[str, Any], seed: int) -> ChatRequest:
    # A small model would nest what may nest without end, were it not made to tire of it.
    heat = 0.0 if seed == 0 else 0.8
    sampling = SamplingParams(temperature=heat, seed=seed, frequency_penalty=0.4, penalty_window=256)
    question = f"{question} Answer in JSON."
    return ask(question, format=SchemaFormat(schema, strict=True), sampling=sampling, max_tokens=700)


async def check(name: str, cases: tuple[tuple[str, dict[str, Any]], ...], seeds: int) -> None:
    """All answers end of themselves, and validate."""
    model = opened(name, 8)
    work = [(schema, seed, asked(question, schema, seed)) for question, schema in cases for seed in range(seeds)]
    gate = asyncio.Semaphore(16)

    async def one(request: ChatRequest) -> tuple[str, str]:
        async with gate:
            return await answer(model, request)

    try:
        answers = await asyncio.gather(*(one(request) for _, _, request in work))
    finally:
        await model.aclose()
    for (schema, seed, _), (text, reason) in zip(work, answers, strict=True):
        assert reason == "stop", f"seed {seed} of {schema}: {text[:300]}"
        jsonschema.validate(json.loads(text), schema, jsonschema.Draft202012Validator, format_checker=CHECKS)
    print(f"{len(answers)} answers of {name}, all valid")


async def test_a_small_model_writes_valid_json_only() -> None:
    await check("smollm2", KINDS, 2)


@pytest.mark.slow
async def test_a_larger_model_writes_valid_json_only() -> None:
    await check("qwen-1.5b", CASES, 5)


async def test_choices_and_expressions() -> None:
    model = opened("smollm2", 4)
    format = GrammarFormat("(yes|no), (because|although) [a-z ]{5,30}[.]", "regex")
    try:
        texts = [
            await answer(model, ask("Is it late?", format=format, max_tokens=60, speculation="off")) for _ in range(3)
        ]
    finally:
        await model.aclose()
    assert all(reason == "stop" and text.startswith(("yes, ", "no, ")) and text.endswith(".") for text, reason in texts)
