"""Real weights call tools over HTTP: many prompts, schemas of every kind, every way to choose.

EDGELLM_TEST_TOOLS_MODEL names a test model or a GGUF file (Qwen2.5-Coder-1.5B where it is not set), and
EDGELLM_TEST_TOOLS_COUNT how many prompts are asked (100). What was seen is printed: use -s.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest

from edgellm.backends.llamacpp import LlamaCppBackend
from edgellm.config import ModelSettings
from edgellm.model import ModelInfo
from edgellm.runtime.local_model import LocalModel
from tests import models
from tests.doubles.live_server import LiveServer, live_server
from tests.doubles.tool_cases import Case, cases

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(7200)]
CHOSEN = os.environ.get("EDGELLM_TEST_TOOLS_MODEL", "qwen-1.5b")
COUNT = int(os.environ.get("EDGELLM_TEST_TOOLS_COUNT", "100"))
AT_ONCE = 8
MARKUP = ("<tool_call>", "</tool_call>", "<tools>", "</tools>", "<|im_", "<think>", "</think>")
CHECKS = jsonschema.FormatChecker()


class Seen(NamedTuple):
    """One reply: its status, text, calls (name, arguments as text), and why it ended."""

    status: int
    text: str
    calls: list[tuple[str, str]]
    reason: str


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    path = Path(CHOSEN) if CHOSEN.endswith(".gguf") else models.path(CHOSEN)
    settings = ModelSettings(context=32768, slots=AT_ONCE * 2, parallel=AT_ONCE)
    model = LocalModel(lambda: LlamaCppBackend.load(path, settings), settings, ModelInfo(name="real"))
    with live_server(model) as live:
        yield live


async def ask_all(server: LiveServer, bodies: list[dict[str, Any]]) -> list[Seen]:
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=server.url, timeout=3600, trust_env=False) as client:

        async def one(body: dict[str, Any]) -> Seen:
            async with gate:
                return await (streamed(client, body) if body["stream"] else whole(client, body))

        return await asyncio.gather(*map(one, bodies))


async def whole(client: httpx.AsyncClient, body: dict[str, Any]) -> Seen:
    reply = await client.post("/v1/chat/completions", json=body)
    if reply.status_code != 200:
        return Seen(reply.status_code, reply.text, [], "")
    choice = reply.json()["choices"][0]
    made = [(c["function"]["name"], c["function"]["arguments"]) for c in choice["message"].get("tool_calls", [])]
    return Seen(200, choice["message"]["content"] or "", made, choice["finish_reason"])


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> Seen:
    text, reason, made = "", "", list[list[str]]()
    async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        if reply.status_code != 200:
            return Seen(reply.status_code, (await reply.aread()).decode(), [], "")
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            assert "error" not in chunk, chunk
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                reason = choice["finish_reason"] or reason
                for call in choice["delta"].get("tool_calls", []):
                    if "id" in call:
                        made.append([call["function"]["name"], ""])
                    made[call["index"]][1] += call["function"]["arguments"]
    return Seen(200, text, [(name, arguments) for name, arguments in made], reason)


def body(case: Case, choice: Any, index: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": case.words}],
        "tools": case.tools,
        "tool_choice": choice,
        "parallel_tool_calls": choice == "auto",
        "temperature": 0.0 if index % 2 else 0.8,
        "seed": index,
        "max_tokens": 512,
        "stream": bool(index % 3),
    }


def problem(case: Case, seen: Seen) -> str:
    """What is wrong with the calls of a reply that had to call; "" where nothing is."""
    schemas = {each["function"]["name"]: each["function"]["parameters"] for each in case.tools}
    if seen.status != 200:
        return f"status {seen.status}: {seen.text}"
    if not seen.calls or seen.reason != "tool_calls":
        return f"{len(seen.calls)} calls, ended by {seen.reason}"
    for name, arguments in seen.calls:
        try:
            jsonschema.validate(json.loads(arguments), schemas[name], format_checker=CHECKS)
        except (ValueError, KeyError, jsonschema.ValidationError) as error:
            return f"{name}({arguments}): {error}"
    return f"text beside the call: {seen.text!r}" if seen.text else ""


@pytest.mark.parametrize("choice", ["required", "named"])
async def test_every_call_that_must_be_validates(server: LiveServer, choice: str) -> None:
    asked = list(cases(COUNT))
    named = [{"type": "function", "function": {"name": case.wanted["function"]["name"]}} for case in asked]
    begin = time.monotonic()
    bodies = [
        body(case, choice if choice == "required" else name, index)
        for index, (case, name) in enumerate(zip(asked, named, strict=True))
    ]
    replies = await ask_all(server, bodies)
    wrong = [(case.words, said) for case, seen in zip(asked, replies, strict=True) if (said := problem(case, seen))]
    right = sum(
        seen.calls[:1] and seen.calls[0][0] == case.wanted["function"]["name"]
        for case, seen in zip(asked, replies, strict=True)
    )
    print(f"\n{CHOSEN}, {choice}: {COUNT - len(wrong)} of {COUNT} validate, {right or 0} of the tool that was meant, ")
    print(f"{time.monotonic() - begin:.0f} s")
    assert not wrong


async def test_calls_that_may_be_leak_nothing_and_break_nothing(server: LiveServer) -> None:
    asked = list(cases(COUNT, seed=1))
    replies = await ask_all(server, [body(case, "auto", index) for index, case in enumerate(asked)])
    counts = collections.Counter(
        "called" if seen.calls else "words" if seen.status == 200 else str(seen.status) for seen in replies
    )
    print(f"\n{CHOSEN}, auto: {dict(counts)}")
    assert all(seen.status == 200 for seen in replies)
    for case, seen in zip(asked, replies, strict=True):
        known = {each["function"]["name"] for each in case.tools}
        for name, arguments in seen.calls:
            assert name in known
            if seen.reason != "length":
                assert isinstance(json.loads(arguments), dict)
        leaks = [mark for mark in MARKUP if mark in seen.text and mark not in case.words]
        assert not leaks, (case.words, seen.text)
