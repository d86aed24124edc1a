"""edgellm against llama-server, in turn: time to first token, decoding, load, and memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence as Seq
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from scripts.benchmarks import prompts
from scripts.benchmarks.client import Answer, ask, ask_all
from scripts.benchmarks.figures import median, ratios, spread
from scripts.benchmarks.footprint import PeakWatch
from scripts.benchmarks.prompts import Case
from scripts.benchmarks.servers import EDGELLM, LLAMA_SERVER, Server, Setup, started
from scripts.benchmarks.table import NOTHING, Row, quantity

_MIB = 2**20
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is asked: `rounds` of every level of `concurrency`. `tokens` and `cases` cut answers and questions.

    `questions` are files of what is asked many at a time, in place of ours.
    """

    rounds: int
    concurrency: tuple[int, ...]
    tokens: int = 1_000_000
    cases: int = 1_000_000
    questions: tuple[Path, ...] = ()

    def single(self) -> list[Case]:
        return prompts.shortened(prompts.single(), self.tokens)[: self.cases]

    def load(self) -> list[Case]:
        asked = [case for file in self.questions for case in prompts.read(file)] or prompts.load()
        return prompts.shortened(asked, self.tokens)[: self.cases]


@dataclass(frozen=True, slots=True)
class Pass:
    """One server's answers to all cases of a round at one concurrency, and the seconds they took together."""

    server: str
    round: int
    concurrency: int
    answers: list[Answer]
    wall_s: float

    @property
    def aggregate_tps(self) -> float:
        return sum(answer.completion_tokens for answer in self.answers) / self.wall_s


def measure(setup: Setup, plan: Plan) -> tuple[list[Row], dict[str, Any]]:
    """Run the plan; rows for the table, and everything measured. Raises Refused and DidNotStart."""
    passes = _rounds(setup, plan)
    peaks = {name: _peak(setup, plan, name) for name in setup.names}
    raw = {
        "setup": {**asdict(setup), "model": setup.model.name, "llama_server": bool(setup.llama_server)},
        "plan": asdict(plan) | {"questions": [path.name for path in plan.questions]},
        "passes": [asdict(each) | {"aggregate_tps": each.aggregate_tps} for each in passes],
        "peak_pss_bytes": peaks,
    }
    return [*speed_rows(passes), memory_row(peaks)], raw


# -- asking -----------------------------------------------------------------------------------------------------


def _rounds(setup: Setup, plan: Plan) -> list[Pass]:
    passes: list[Pass] = []
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(started(setup, name)) for name in setup.names]
        for server in servers:
            server.wait_until_ready()
            ask(server.port, prompts.salted(plan.single(), "warm")[0])
        for number in range(plan.rounds):
            for concurrency in plan.concurrency:
                run = _one_by_one if concurrency == 1 else _together
                salt = f"{number + 1}/{concurrency}"
                passes += run(servers, plan, number, concurrency, salt)
                _tell(f"round {number + 1} of {plan.rounds}", passes[-len(servers) :])
    return passes


def _one_by_one(servers: Seq[Server], plan: Plan, number: int, concurrency: int, salt: str) -> Iterator[Pass]:
    """Both servers get a case before either gets the next: the closest pairs."""
    answers: dict[str, list[Answer]] = {server.name: [] for server in servers}
    for turn, case in enumerate(prompts.salted(plan.single(), salt), start=number):
        for server in in_turn(servers, turn):
            answers[server.name].append(ask(server.port, case))
    for name, given in answers.items():
        yield Pass(name, number, concurrency, given, sum(answer.total_s for answer in given))


def _together(servers: Seq[Server], plan: Plan, number: int, concurrency: int, salt: str) -> Iterator[Pass]:
    for server in in_turn(servers, number):
        answers, wall_s = ask_all(server.port, prompts.salted(plan.load(), salt), concurrency)
        yield Pass(server.name, number, concurrency, answers, wall_s)


def in_turn(things: Seq[_T], turn: int) -> list[_T]:
    """As they are, and the other way round every second time."""
    return list(things) if turn % 2 == 0 else list(reversed(things))


def _peak(setup: Setup, plan: Plan, name: str) -> int | None:
    """Bytes, from start to the end of a load. Alone: two servers that map one file would each count half of it."""
    with started(setup, name) as server, PeakWatch(server.pid) as watch:
        server.wait_until_ready()
        ask_all(server.port, prompts.salted(plan.load(), "memory"), max(plan.concurrency))
    return watch.peak


def _tell(when: str, passes: Seq[Pass]) -> None:
    for each in passes:
        words = f"{each.server} at {each.concurrency}: {each.aggregate_tps:.1f} tok/s in all"
        print(f"{when}: {words}", file=sys.stderr, flush=True)


# -- telling ----------------------------------------------------------------------------------------------------


def speed_rows(passes: Seq[Pass]) -> list[Row]:
    """First tokens and decoding by kind of prompt (one at a time), then the aggregate of each load."""
    rows = []
    alone = [each for each in passes if each.concurrency == 1]
    kinds = dict.fromkeys(answer.kind for each in alone for answer in each.answers)
    for kind in kinds:
        rows.append(_first_token_row(kind, _pairs(alone, kind, lambda answer: answer.ttft_s)))
    for kind in kinds:
        rows.append(_decode_row(kind, _pairs(alone, kind, lambda answer: answer.decode_tps)))
    rows += [_aggregate_row(passes, level) for level in sorted({each.concurrency for each in passes} - {1})]
    return rows


def memory_row(peaks: dict[str, int | None]) -> Row:
    ours, theirs = peaks[EDGELLM], peaks.get(LLAMA_SERVER)
    compared = ours is not None and theirs is not None
    extra = f" ({(ours - theirs) / _MIB:+.0f} MiB)" if compared else ""  # type: ignore[operator]
    return Row(
        name="peak memory (PSS of all processes)",
        ours=quantity(ours and ours / _MIB, "MiB", 0) + extra,
        theirs=quantity(theirs / _MIB, "MiB", 0) if theirs else NOTHING,
        ratio=spread(ratios([(ours, theirs)])),
        target="<= 1.05x + 200 MiB",
        met=ours <= 1.05 * theirs + 200 * _MIB if compared else None,  # type: ignore[operator]
    )


Pairs = list[tuple[float | None, float | None]]


def _pairs(passes: Seq[Pass], kind: str, figure: Callable[[Answer], float | None]) -> Pairs:
    """edgellm's and llama-server's figure for the same case of the same round."""
    found: dict[str, dict[tuple[int, str], float | None]] = {EDGELLM: {}, LLAMA_SERVER: {}}
    for each in passes:
        for answer in each.answers:
            if answer.kind == kind:
                found[each.server][each.round, answer.case] = figure(answer)
    return [(ours, found[LLAMA_SERVER].get(key)) for key, ours in found[EDGELLM].items()]


def _first_token_row(kind: str, pairs: Pairs) -> Row:
    ours, theirs = median(a for a, _ in pairs), median(b for _, b in pairs)
    return Row(
        name=f"time to first token, {kind} prompts",
        ours=quantity(ours and 1000 * ours, "ms", 0),
        theirs=quantity(1000 * theirs, "ms", 0) if theirs else NOTHING,
        ratio=spread(ratios(pairs)),
        target="<= 1.05x + 20 ms",
        met=ours <= 1.05 * theirs + 0.020 if ours and theirs else None,
    )


def _decode_row(kind: str, pairs: Pairs) -> Row:
    return _speed_row(f"decoding, {kind} prompts", pairs, 0.97)


def _aggregate_row(passes: Seq[Pass], concurrency: int) -> Row:
    found: dict[tuple[str, int], float] = {
        (each.server, each.round): each.aggregate_tps for each in passes if each.concurrency == concurrency
    }
    rounds = sorted({number for _, number in found})
    pairs: Pairs = [(found.get((EDGELLM, number)), found.get((LLAMA_SERVER, number))) for number in rounds]
    return _speed_row(f"{concurrency} at once, all together", pairs, 1.0)


def _speed_row(name: str, pairs: Pairs, least: float) -> Row:
    ours, theirs, ratio = median(a for a, _ in pairs), median(b for _, b in pairs), spread(ratios(pairs))
    return Row(
        name=name,
        ours=quantity(ours, "tok/s"),
        theirs=quantity(theirs, "tok/s") if theirs else NOTHING,
        ratio=ratio,
        target=f">= {least:.2f}x",
        met=ratio.median >= least if ratio else None,
    )
