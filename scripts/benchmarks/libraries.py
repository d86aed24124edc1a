"""ik_llama.cpp against stock llama.cpp on one file: perplexity of one text, and the choice of every greedy token."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence as Seq
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgellm.backends.base import Backend
from edgellm.backends.batch import Chunk
from edgellm.config import ModelSettings
from edgellm.runtime import gguf_backend
from scripts.benchmarks import prompts
from scripts.benchmarks.table import NOTHING, Row, quantity

STOCK, FORK = "llama.cpp", "ik"
_TEXTS = ("README.md", "docs/fit.md")
_ROOT = Path(__file__).parents[2]
_MOST_APART, _NEAR = 0.005, 0.5
"""Of the perplexity, and logits between two tokens that are a near tie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is compared: `tokens` of the text, and `prompts` with answers of `answer` tokens each."""

    tokens: int = 2048
    prompts: int = 10
    answer: int = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """A place where the fork would go on otherwise: logits that the stock token is ahead there, in each library."""

    prompt: str
    place: int
    stock_ahead: float
    fork_ahead: float


def measure(model: Path, threads: int, plan: Plan) -> tuple[list[Row], dict[str, Any]]:
    """Rows for the table, and everything measured. One library after the other. Raises LoadError and Unsupported."""
    cases = [case for case in (*prompts.single(), *prompts.load()) if case.kind != "long"][: plan.prompts]
    # Read once: whoever edits these files meanwhile would have the libraries read different texts.
    text = "\n".join((_ROOT / name).read_text(encoding="utf-8") for name in _TEXTS)
    stock = _loaded(STOCK, model, threads)
    ours = _perplexity(stock, text, plan.tokens)
    written = {case.id: _greedy(stock, case.text, plan.answer) for case in cases}
    stock.close()
    fork = _loaded(FORK, model, threads)
    theirs = _perplexity(fork, text, plan.tokens)
    apart = [found for case in cases for found in _apart(fork, case.id, *written[case.id])]
    fork.close()
    places = sum(len(answer) for _, answer, _ in written.values())
    raw = {
        "plan": asdict(plan),
        "perplexity": {STOCK: ours, FORK: theirs},
        "places": places,
        "apart": [asdict(found) for found in apart],
    }
    return [perplexity_row(ours, theirs), *choice_rows(places, len(cases), apart)], raw


def _loaded(library: str, model: Path, threads: int) -> Backend:
    print(f"loading on {library}", file=sys.stderr, flush=True)
    settings = ModelSettings(backend=library, context=4096, slots=1, parallel=1, threads=threads)  # type: ignore[arg-type]
    return gguf_backend.load(model, settings)


def _perplexity(backend: Backend, text: str, count: int) -> float:
    """Of each token but the first, given all before it, in as many rows at once as a decode may give."""
    tokens = backend.vocabulary.tokenize(text, special=False, add_bos=True)[:count]
    size, surprise = min(backend.limits.rows, backend.limits.batch), 0.0
    for start in range(0, len(tokens) - 1, size):
        part = tokens[start : start + size]
        rows = backend.decode([Chunk(0, start, part, len(part))])
        for row, token in enumerate(tokens[start + 1 : start + 1 + len(part)]):
            surprise -= _log_probability(rows.logits(row), token)
    backend.trim(0, 0)
    return math.exp(surprise / (len(tokens) - 1))


def _log_probability(logits: NDArray[np.float32], token: int) -> float:
    exact = logits.astype(np.float64)
    best = exact.max()
    return float(exact[token] - best - np.log(np.exp(exact - best).sum()))


def _greedy(backend: Backend, text: str, count: int) -> tuple[list[int], list[int], list[NDArray[np.float32]]]:
    """The prompt's tokens, the answer's, and the logits that each of these was chosen by."""
    prompt = backend.vocabulary.tokenize(text, special=True, add_bos=True)
    answer: list[int] = []
    seen: list[NDArray[np.float32]] = []
    part, at = prompt, 0
    while len(answer) < count:
        rows = backend.decode([Chunk(0, at, part)])
        at += len(part)
        seen.append(np.array(rows.logits(0)))
        part = [int(seen[-1].argmax())]
        answer += part
    backend.trim(0, 0)
    return prompt, answer, seen


def _apart(
    fork: Backend, name: str, prompt: list[int], answer: list[int], seen: list[NDArray[np.float32]]
) -> list[Choice]:
    """Where the fork, led along stock llama.cpp's answer, would have taken another token."""
    found, part, at = [], prompt, 0
    for place, (token, stock) in enumerate(zip(answer, seen, strict=True)):
        logits = fork.decode([Chunk(0, at, part)]).logits(0)
        other = int(logits.argmax())
        if other != token:
            ahead = float(stock[token] - stock[other]), float(logits[token] - logits[other])
            found.append(Choice(name, place, *ahead))
        at += len(part)
        part = [token]
    fork.trim(0, 0)
    return found


def perplexity_row(ours: float, theirs: float) -> Row:
    """How far the fork's is from stock llama.cpp's."""
    apart = theirs / ours - 1
    return Row(
        name=f"perplexity, ik_llama.cpp against llama.cpp ({100 * apart:+.2f} %)",
        ours=quantity(theirs, "", 4).strip(),
        theirs=quantity(ours, "", 4).strip(),
        target=f"within {100 * _MOST_APART:.1f} %",
        met=abs(apart) <= _MOST_APART,
    )


def choice_rows(places: int, texts: int, apart: Seq[Choice]) -> list[Row]:
    """How many tokens and whole texts are the same, and how near a tie the others are."""
    same = texts - len({choice.prompt for choice in apart})
    worst = max((choice.stock_ahead for choice in apart), default=0.0)
    return [
        Row(name="greedy texts that are the same throughout", ours=f"{same} of {texts}", target=NOTHING),
        Row(name="greedy tokens that are the same", ours=f"{places - len(apart)} of {places}", target=NOTHING),
        Row(
            name="logits between the two tokens where they differ, at most",
            ours=f"{worst:.3f}",
            target=f"<= {_NEAR}",
            met=worst <= _NEAR,
        ),
    ]
