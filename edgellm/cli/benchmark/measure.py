"""Asks a model, and perhaps a server beside it, what a benchmark asks, and takes the times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from typing import cast

from edgellm import errors
from edgellm.cli.benchmark.cases import PROSE, Case
from edgellm.cli.benchmark.figures import Decode, Kind, Prefill, Rival
from edgellm.events import Event, Failed, Finished, Reasoning, Text
from edgellm.model import Model, SpeculationStatus
from edgellm.request import GREEDY, ChatRequest, Prompt, Speculation, TokenIds

Tell = Callable[[str, int, int], None]
"""Hears what is being measured, and how many of how many steps are done."""

LENGTHS, QUICK_LENGTHS = (128, 512, 2048), (128, 512)
ANSWER, QUICK_ANSWER = 64, 24
_TIMING_S = 20.0
"""How long an idle model may take to time its steps, which it does in a moment when nobody asks anything."""

_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One answer: as the model's own clock saw it, and (`seen`) as we did."""

    finished: Finished
    first_ms: float
    seen_per_s: float

    @property
    def per_s(self) -> float:
        return self.finished.timings.predicted_per_second or self.seen_per_s


async def ask(model: Model, request: ChatRequest) -> Run:
    """One answer to its end. Raises EdgeLLMError."""
    asked, first, last, finished = time.perf_counter(), 0.0, 0.0, None
    async with aclosing(cast("AsyncGenerator[Event, None]", model.stream(request))) as events:
        async for event in events:
            match event:
                case Text() | Reasoning():
                    last = time.perf_counter()
                    first = first or last
                case Failed():
                    raise errors.from_code(event.code, event.message, event.details)
                case Finished():
                    finished = event
    if finished is None:
        raise errors.Unavailable("the answer broke off without an end; try again")
    tokens = finished.usage.completion_tokens
    seen = (tokens - 1) / (last - first) if last > first else 0.0
    return Run(finished, 1000 * ((first or time.perf_counter()) - asked), seen)


class Bench:
    """Measures `model`; `rounds` times each question. `rival` gets the same questions in turn, if there is one."""

    def __init__(self, model: Model, cases: tuple[Case, ...], tell: Tell, *, quick: bool, rival: Model | None) -> None:
        self.prefill: list[Prefill] = []
        self.decode: list[Decode] = []
        self.kinds: list[Kind] = []
        self.rivals: list[Rival] = []
        self.speculation = SpeculationStatus()
        self._model, self._rival, self._cases = model, rival, cases
        self._answer = QUICK_ANSWER if quick else ANSWER
        self._lengths = [
            length for length in (QUICK_LENGTHS if quick else LENGTHS) if length + self._answer <= _room(model)
        ]
        self._salt = f"{time.time_ns() % 10**9:09d}"
        self._tell = tell
        self._done = 0
        self._steps = len(self._lengths) + 1 + len(cases) * (2 if rival is None else 3)

    async def run(self) -> None:
        for length in self._lengths:
            await self._length(length)
        self._say("waiting until steps are timed")
        await self._timed()
        runs: dict[str, list[tuple[Run, Run, Run | None]]] = {}
        for number, case in enumerate(self._cases):
            runs.setdefault(case.kind, []).append(await self._case(case, number))
        for kind, triples in runs.items():
            self.kinds.append(_kind(kind, [(plain, ahead) for plain, ahead, _ in triples]))
            theirs = [(ahead, other) for _, ahead, other in triples if other is not None]
            if theirs:
                self.rivals.append(_rival(kind, theirs))
        self.speculation = (await self._model.status()).speculation
        self._tell("done", self._steps, self._steps)

    def _say(self, what: str) -> None:
        self._tell(what, self._done, self._steps)
        self._done += 1

    async def _length(self, length: int) -> None:
        self._say(f"a prompt of {length} tokens, and {self._answer} more")
        text = f"[{self._salt} {length}] " + PROSE * (length // 20 + 1)
        ids = (await self._model.tokenize(Prompt(text)))[:length]
        run = await ask(
            self._model,
            ChatRequest(
                input=TokenIds(tuple(ids)),
                sampling=GREEDY,
                max_tokens=self._answer,
                ignore_eos=True,
                speculation="off",
            ),
        )
        self.prefill.append(Prefill(len(ids), run.finished.timings.prompt_per_second))
        self.decode.append(Decode(len(ids) + self._answer // 2, run.per_s))

    async def _timed(self) -> None:
        """Wait until the model knows what its steps cost, for it guesses nothing before."""
        for _ in range(int(_TIMING_S / _LOOK_S)):
            known = (await self._model.status()).speculation
            # A draft model is timed last; until then that is the reason why it does not guess.
            untimed_draft = known.draft_ms is None and "draft model has not been timed" in known.reason
            if known.state != "waiting" and not untimed_draft:
                return
            await asyncio.sleep(_LOOK_S)

    async def _case(self, case: Case, number: int) -> tuple[Run, Run, Run | None]:
        """The question without and with guessing ahead, and put to the rival; who is first changes."""
        salt = f"{self._salt} {number}"

        async def ours(speculation: Speculation, words: str) -> Run:
            self._say(f"{case.kind}, {words}")
            return await ask(self._model, case.request(speculation, salt))

        async def theirs() -> Run | None:
            if self._rival is None:
                return None
            self._say(f"{case.kind}, {self._rival.info.name} there")
            return await ask(self._rival, case.request("auto", salt))

        if number % 2:
            other = await theirs()
            ahead = await ours("auto", "guessing ahead")
            return await ours("off", "plain"), ahead, other
        plain = await ours("off", "plain")
        return plain, await ours("auto", "guessing ahead"), await theirs()


def _room(model: Model) -> int:
    return model.info.context_length or LENGTHS[0] + ANSWER


def _kind(kind: str, pairs: list[tuple[Run, Run]]) -> Kind:
    timings = [ahead.finished.timings for _, ahead in pairs]
    drafted, accepted = sum(t.draft_n for t in timings), sum(t.draft_n_accepted for t in timings)
    return Kind(
        kind=kind,
        runs=len(pairs),
        plain_per_s=median(plain.per_s for plain, _ in pairs),
        tokens_per_s=median(ahead.per_s for _, ahead in pairs),
        speedup=median(_ratio(ahead.per_s, plain.per_s) for plain, ahead in pairs),
        # Who came first computed the prompt, the other found it in the cache.
        first_ms=median(max(plain.first_ms, ahead.first_ms) for plain, ahead in pairs),
        drafted=drafted,
        accepted=accepted,
        acceptance=accepted / drafted if drafted else None,
        lost=max(_ratio(t.draft_risked_ms, t.predicted_ms) for t in timings),
    )


def _rival(kind: str, pairs: list[tuple[Run, Run]]) -> Rival:
    return Rival(
        kind,
        len(pairs),
        median(ours.seen_per_s for ours, _ in pairs),
        median(other.seen_per_s for _, other in pairs),
        median(other.first_ms for _, other in pairs),
        median(_ratio(ours.seen_per_s, other.seen_per_s) for ours, other in pairs),
    )


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs > 0 else 0.0
