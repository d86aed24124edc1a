"""Recorded answers gone through again on a clock of their own: what speculation makes of them where steps take exactly
what one machine measured, or scatter about that. Says the same on every machine, however busy.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgellm.backends.base import Backend
from edgellm.chat.prompt import render_input
from edgellm.chat.template import ChatTemplate
from edgellm.config import Settings
from edgellm.engine.sequence import Job, Sequence
from edgellm.engine.speculative.adaptive import AdaptiveProposer
from edgellm.engine.speculative.costs import StepTimes
from edgellm.engine.speculative.loss_account import SHARE, LossAccount
from edgellm.engine.speculative.proposer import StepRecord
from edgellm.request import GREEDY, ask
from edgellm.runtime import model_backend
from scripts.benchmarks.figures import spread
from scripts.benchmarks.speculation import MARKS, OTHERS, every_case
from scripts.benchmarks.table import NOTHING, Row

_PREFILL = 0.2
"""Of a plain step, for a token of a prompt that is new."""

_STALLED = 1.5, 4.0
"""Times as long as usual, at least and at most, that a step takes in which the machine was busy with something else."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer, in tokens."""

    case: str
    kind: str
    prompt: list[int]
    answer: list[int]
    most: int
    """Tokens that were allowed: nobody knows beforehand how many it will be."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """`speedup` of decoding over plain steps; `lost`, the loss account at its worst, as part of the request's time."""

    case: str
    kind: str
    speedup: float
    lost: float


@dataclass(slots=True)
class Machine:
    """How steady one is: `scatter` is the standard deviation of the logarithms of step times, `stalls` the part of
    steps in which it was busy with something else.
    """

    scatter: float = 0.0
    stalls: float = 0.0
    chance: random.Random = field(default_factory=random.Random)

    def takes(self, milliseconds: float) -> float:
        if self.scatter:
            milliseconds *= math.exp(self.chance.gauss(0, self.scatter))
        if self.stalls and self.chance.random() < self.stalls:
            milliseconds *= self.chance.uniform(*_STALLED)
        return milliseconds


def measure(
    model: Path,
    file: Path,
    steps: Mapping[int, float] | None,
    *,
    rounds: int = 1,
    scatter: float = 0.0,
    stalls: float = 0.0,
    new_prompts: bool = False,
) -> tuple[list[Row], dict[str, Any]]:
    """The plain answers in `file`, which `speculation --json` wrote, at `steps` (milliseconds by rows) or its own.

    Each of `rounds` goes through them in an order of its own and knows nothing of the others. Prompts are computed
    before, unless they are `new_prompts`.
    """
    raw = json.loads(file.read_text(encoding="utf-8"))["speculation"]
    settings = Settings(context=512, parallel=1, threads=1).model_settings()
    with closing(model_backend.load(model, settings)) as backend:
        answers = list(_recorded(raw["answers"], backend))
        pieces = list(backend.vocabulary.pieces())
    steps = steps or {int(rows): ms for rows, ms in raw["status"]["step_ms"].items()}
    replayed: list[Replayed] = []
    for seed in range(rounds):
        chance = random.Random(seed)
        order = chance.sample(answers, len(answers)) if rounds > 1 else answers
        replay = Replay(steps, pieces, Machine(scatter, stalls, chance), new_prompts=new_prompts)
        replayed += [replay.answer(number, each) for number, each in enumerate(order)]
    return rows_of(replayed), {"step_ms": dict(steps), "answers": [asdict(each) for each in replayed]}


def _recorded(answers: list[dict[str, Any]], backend: Backend) -> Iterator[Recorded]:
    """The first plain answer to each case."""
    vocabulary = backend.vocabulary
    template = ChatTemplate(vocabulary.template, "", "")
    cases = {case.id: case for case in every_case()}
    plain = {each["case"]: each for each in reversed(answers) if each["how"] == "off" and each["case"] in cases}
    for id, each in sorted(plain.items()):
        prompt = render_input(ask(cases[id].text).input, template, vocabulary)
        answer = vocabulary.tokenize(each["text"], special=False, add_bos=False)
        yield Recorded(id, each["kind"], prompt, answer, max(len(answer), cases[id].max_tokens) + 1)


class Replay:
    """One model's speculation over answer after answer, so that it learns as it does in use."""

    def __init__(
        self,
        steps: Mapping[int, float],
        pieces: list[bytes],
        machine: Machine | None = None,
        *,
        new_prompts: bool = True,
    ) -> None:
        self._machine = machine or Machine()
        self._new_prompts = new_prompts
        self._true = StepTimes()
        self._true.adopt(steps)
        times = StepTimes()
        times.adopt(steps)
        self._now = 0.0
        self._pieces = pieces
        self._proposer = AdaptiveProposer(times, lambda: self._now, None, pieces.__getitem__)

    def answer(self, id: int, recorded: Recorded) -> Replayed:
        job = Job(id=id, prompt=recorded.prompt, params=GREEDY, seed=0, max_tokens=recorded.most, speculation="auto")
        sequence = Sequence(job, len(self._pieces), lambda: self._now)
        account = sequence.account = LossAccount(self._now)
        plain_ms = self._true.at(1)
        prompt_steps = _PREFILL * len(recorded.prompt) if self._new_prompts else 1.0
        self._now += prompt_steps * plain_ms / 1000
        self._proposer.admit(sequence)
        self._proposer.meanwhile()
        begin = self._now
        while sequence.generated < len(recorded.answer):
            self._step(sequence, recorded.answer)
        self._proposer.release(sequence)
        plain_s = sum(self._machine.takes(plain_ms) for _ in recorded.answer) / 1000
        return Replayed(
            recorded.case,
            recorded.kind,
            speedup=plain_s / (self._now - begin),
            lost=account.worst / 1000 / (self._now - account.began),
        )

    def _step(self, sequence: Sequence, answer: list[int]) -> None:
        left = answer[sequence.generated :]
        draft = self._proposer.propose([sequence], self._true.points[-1] - 1).get(sequence.id, [])
        right = next((at for at, pair in enumerate(zip(draft, left, strict=False)) if pair[0] != pair[1]), len(draft))
        self._proposer.meanwhile()
        milliseconds = self._machine.takes(self._true.at(1 + len(draft)))
        self._now += milliseconds / 1000
        sequence.tokens += left[: right + 1]
        self._proposer.commit(sequence, len(draft), right)
        seconds = milliseconds / 1000
        self._proposer.stepped(StepRecord(1 + len(draft), len(draft), right + 1, seconds, seconds))


def rows_of(replayed: list[Replayed]) -> list[Row]:
    """For each kind of text, the speedups and the loss account."""
    rows = []
    for kind in dict.fromkeys(each.kind for each in replayed):
        speedups = spread([each.speedup for each in replayed if each.kind == kind])
        losses = [each.lost for each in replayed if each.kind == kind]
        worst, over = max(losses), sum(each > SHARE for each in losses)
        often = f", past its share in {over} of {len(losses)}" if over else ""
        mark = MARKS.get(kind, OTHERS)
        assert speedups is not None
        rows.append(
            Row(
                name=f"{kind}: on against off, replayed",
                ours=NOTHING,
                ratio=speedups,
                target=f">= {mark:.2f}x",
                met=speedups.median >= mark,
            )
        )
        rows.append(
            Row(
                name=f"{kind}: loss account at its worst{often}",
                ours=f"{100 * worst:.2f} %",
                target=f"<= {100 * SHARE:.0f} %",
                met=worst <= SHARE,
            )
        )
    return rows
