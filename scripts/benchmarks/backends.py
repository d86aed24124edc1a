"""One model in three formats: how alike its answers are, how likely a text is to each, speed, memory; and each folder's
library by itself, whose greedy tokens must be ours and whose speed is the measure."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence as Seq
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.benchmarks import prompts
from scripts.benchmarks.figures import bootstrap, median, ratios
from scripts.benchmarks.footprint import PeakWatch
from scripts.benchmarks.own_loops import LOOPS, Write, Written
from scripts.benchmarks.table import Row, quantity

if TYPE_CHECKING:
    from edgellm.events import Timings

LEAST = 0.95
_CONTEXT = 1024
_TEXT = prompts.single()[-1].text
"""For perplexity: lines that follow a pattern, then a request in prose."""


@dataclass(slots=True)
class Found:
    """Of one model: the first tokens of each answer, milliseconds a token, tokens of the prompts, and what it takes."""

    name: str
    kind: str
    prompts: list[list[int]] = field(default_factory=list)
    answers: list[list[int]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    peak: int | None = None
    perplexity: float = 0.0
    own: list[Written] = field(default_factory=list)


def measure(models: Seq[Path], threads: int, cases: int, tokens: int, text: int) -> tuple[list[Row], dict[str, Any]]:
    """Rows for every model, the first being what the others' answers are compared with; and everything measured."""
    found = [_found(path, threads, [case.text for case in prompts.load()[:cases]], tokens, text) for path in models]
    rows = [row for each in found for row in _rows(each, found[0])]
    return rows, {"models": [asdict(each) for each in found]}


def _found(path: Path, threads: int, texts: Seq[str], tokens: int, text: int) -> Found:
    from edgellm.catalog import model_folder

    found = Found(path.name, model_folder.kind(path) or "gguf")
    write = LOOPS[found.kind](path, threads) if found.kind in LOOPS else None
    asyncio.run(_ask(found, path, threads, texts, tokens, write))
    found.perplexity = perplexity(path, threads, text)
    print(f"{found.name}: perplexity {found.perplexity:.2f}", file=sys.stderr, flush=True)
    return found


async def _ask(found: Found, path: Path, threads: int, texts: Seq[str], tokens: int, write: Write | None) -> None:
    """Ask everything of the model and of its library alone, in turn, so that both have the same noise around them."""
    from edgellm.config import Settings
    from edgellm.messages import user
    from edgellm.request import Conversation, TokenIds
    from edgellm.runtime import assemble

    settings = Settings(backend="auto", threads=threads, context=_CONTEXT, speculation="off", prefix_cache=False)
    model = assemble.open_model(str(path), settings)
    try:
        await model.start()
        for text in texts:
            found.prompts.append(await model.tokenize(Conversation((user(text),))))
        assert model.pid is not None
        with PeakWatch(model.pid) as watch:
            await _milliseconds(model, TokenIds(tuple(found.prompts[0])), 2)
        found.peak = watch.peak
        if write is not None:
            write(found.prompts[0], 2)  # the first one wakes the library
        for turn, prompt in enumerate(found.prompts):
            for ours in (True, False) if turn % 2 else (False, True):
                if ours:
                    found.answers.append((await _answer(model, TokenIds(tuple(prompt)), tokens, scored=True))[0])
                    found.ms.append(await _milliseconds(model, TokenIds(tuple(prompt)), tokens))
                elif write is not None:
                    found.own.append(write(prompt, tokens))
    finally:
        await model.aclose()


async def _answer(model: Any, prompt: Any, tokens: int, *, scored: bool = False) -> tuple[list[int], Timings]:
    """The tokens, told only with their scores, which take time of their own; and what the answer took."""
    from edgellm.events import Failed, Finished, Text
    from edgellm.request import GREEDY, ChatRequest

    scores = 0 if scored else None
    request = ChatRequest(input=prompt, sampling=GREEDY, max_tokens=tokens, logprobs=scores, ignore_eos=True)
    found: list[int] = []
    async for event in model.stream(request):
        match event:
            case Text(logprobs=told):
                found += [score.token for score in told]
            case Finished(timings=timings):
                return found, timings
            case Failed(message=message):
                raise RuntimeError(message)
    raise AssertionError("a stream ends with Finished or Failed")


async def _milliseconds(model: Any, prompt: Any, tokens: int) -> float:
    """Of a token after the first."""
    _, timings = await _answer(model, prompt, tokens)
    return timings.predicted_ms / max(1, timings.predicted_n - 1)


def perplexity(path: Path, threads: int, most: int) -> float:
    """Of the text's first tokens, each given all before it."""
    from edgellm.backends.batch import Chunk
    from edgellm.config import ModelSettings
    from edgellm.runtime import model_backend

    settings = ModelSettings(threads=threads, context=_CONTEXT, slots=1, parallel=1, backend="llama.cpp")
    backend = model_backend.load(path, settings)
    try:
        ids = backend.vocabulary.tokenize(_TEXT, special=False, add_bos=False)[:most]
        step, lost = min(backend.limits.rows, backend.limits.batch), 0.0
        for start in range(0, len(ids) - 1, step):
            part = ids[start : min(start + step, len(ids) - 1)]
            rows = backend.decode([Chunk(0, start, part, len(part))])
            lost += sum(_surprise(rows.logits(row), ids[start + row + 1]) for row in range(len(part)))
        return math.exp(lost / (len(ids) - 1))
    finally:
        backend.close()


def _surprise(logits: Any, token: int) -> float:
    wide = logits.astype(np.float64)
    top = wide.max()
    return float(top + np.log(np.exp(wide - top).sum()) - wide[token])


def _rows(found: Found, first: Found) -> list[Row]:
    name, reference = found.name, first.name
    compared = [
        Row(name=f"{name}: first token as {reference}'s", ours=_alike(found.answers, first.answers, 1)),
        Row(name=f"{name}: tokens alike from the start", ours=_common(found.answers, first.answers)),
    ]
    rows = [
        *(compared if found is not first else ()),
        Row(name=f"{found.name}: perplexity of a text", ours=f"{found.perplexity:.2f}"),
        Row(
            name=f"{found.name}: peak memory of the worker",
            ours=quantity(found.peak / 2**20 if found.peak else None, "MiB", 0),
        ),
    ]
    if not found.own:
        return [*rows, Row(name=f"{found.name}: decoding", ours=quantity(_speed(found.ms), "tok/s"))]
    own = [written.milliseconds / max(1, len(written.tokens) - 1) for written in found.own]
    pairs = [(theirs, ours) for ours, theirs in zip(found.ms, own, strict=True)]
    spread = bootstrap(ratios(pairs))
    same = [
        written.tokens == answer[: len(written.tokens)]
        for written, answer in zip(found.own, found.answers, strict=True)
    ]
    return [
        *rows,
        Row(
            name=f"{found.name}: decoding, against its library alone",
            ours=quantity(_speed(found.ms), "tok/s"),
            theirs=quantity(_speed(own), "tok/s"),
            ratio=spread,
            target=f">= {LEAST}",
            met=None if spread is None else spread.median >= LEAST,
        ),
        Row(
            name=f"{found.name}: greedy answers as its library's",
            ours=f"{sum(same)} of {len(same)}",
            target="all",
            met=all(same),
        ),
    ]


def _speed(ms: Seq[float]) -> float | None:
    middle = median(ms)
    return 1000 / middle if middle else None


def _alike(ours: Seq[Seq[int]], theirs: Seq[Seq[int]], count: int) -> str:
    same = sum(left[:count] == right[:count] for left, right in zip(ours, theirs, strict=True))
    return f"{same} of {len(ours)}"


def _common(ours: Seq[Seq[int]], theirs: Seq[Seq[int]]) -> str:
    pairs = list(zip(ours, theirs, strict=True))
    lengths = [len(list(takewhile(lambda two: two[0] == two[1], zip(*pair, strict=False)))) for pair in pairs]
    return f"{sum(lengths) / max(1, len(lengths)):.1f} of {max(map(len, ours), default=0)}"
