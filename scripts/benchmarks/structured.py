"""Decoding under a grammar against decoding without, in turn on one engine, nothing guessed ahead."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence as Seq
from dataclasses import asdict, dataclass
from typing import Any

from scripts.benchmarks.figures import bootstrap, median, ratios
from scripts.benchmarks.servers import Setup
from scripts.benchmarks.serving import in_turn
from scripts.benchmarks.table import Row, quantity

LEAST = 0.95
_TOKENS = 96
_QUESTION = "Describe the town {town} to a visitor. Answer in JSON."
_TOWNS = ("Lisbon", "Kyoto", "Oslo", "Quito", "Cairo", "Perth")
_SIGHT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["museum", "park", "church"]},
        "rank": {"type": "integer"},
    },
    "required": ["name", "kind", "rank"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "minLength": 200},
        "sights": {"type": "array", "items": _SIGHT, "minItems": 8},
    },
    "required": ["sights", "summary"],
    "additionalProperties": False,
}
"""More than `_TOKENS` tokens long, so that every answer is cut at the same length."""


@dataclass(frozen=True, slots=True)
class Answer:
    town: str
    sampling: str
    how: str
    round: int
    tokens: int
    decode_ms: float

    @property
    def tps(self) -> float | None:
        return 1000 * (self.tokens - 1) / self.decode_ms if self.decode_ms > 0 and self.tokens > 1 else None


def measure(setup: Setup, rounds: int, cases: int) -> tuple[list[Row], dict[str, Any]]:
    """A row for greedy and one for sampled answers, and everything measured."""
    answers = asyncio.run(_answers(setup, rounds, _TOWNS[:cases]))
    return [row(answers, sampling) for sampling in ("greedy", "sampled")], {"answers": [asdict(a) for a in answers]}


def row(answers: Seq[Answer], sampling: str) -> Row:
    by = {(a.town, a.round, a.how): a.tps for a in answers if a.sampling == sampling}
    pairs = [(tps, by.get((town, number, "free"))) for (town, number, how), tps in by.items() if how == "schema"]
    spread = bootstrap(ratios(pairs))
    return Row(
        name=f"decoding under a JSON schema, {sampling}",
        ours=quantity(median(ours for ours, _ in pairs), "tok/s"),
        theirs=quantity(median(free for _, free in pairs), "tok/s") + " without",
        ratio=spread,
        target=f">= {LEAST}",
        met=None if spread is None else spread.median >= LEAST,
    )


async def _answers(setup: Setup, rounds: int, towns: Seq[str]) -> list[Answer]:
    import msgspec

    from edgellm.config import Settings
    from edgellm.runtime import assemble

    settings = Settings(context=setup.context, threads=setup.threads, parallel=setup.parallel, speculation="off")
    chosen = msgspec.to_builtins(settings.model_settings())
    model = assemble.local_model(str(setup.model), {"name": setup.model.stem}, chosen)
    answers: list[Answer] = []
    try:
        await model.start()
        for number in range(rounds):
            for turn, town in enumerate(towns, start=number):
                for sampling in ("greedy", "sampled"):
                    for how in in_turn(("schema", "free"), turn):
                        answers.append(await _one(model, town, sampling, how, number))
                        print(f"round {number + 1}: {answers[-1]}", file=sys.stderr, flush=True)
    finally:
        await model.aclose()
    return answers


async def _one(model: Any, town: str, sampling: str, how: str, number: int) -> Answer:
    from edgellm.events import Failed, Finished
    from edgellm.request import GREEDY, SamplingParams, SchemaFormat, ask

    request = ask(
        _QUESTION.format(town=town),
        sampling=GREEDY if sampling == "greedy" else SamplingParams(seed=number),
        format=SchemaFormat(SCHEMA, strict=True) if how == "schema" else None,
        max_tokens=_TOKENS,
        ignore_eos=how == "free",
    )
    async for event in model.stream(request):
        if isinstance(event, Finished):
            return Answer(town, sampling, how, number, event.timings.predicted_n, event.timings.predicted_ms)
        if isinstance(event, Failed):
            raise RuntimeError(f"{town}: {event.message}")
    raise AssertionError("a stream ends with Finished or Failed")
