"""Speculation on against off, case by case in turn on one engine, and llama-server's own kinds of it beside."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Sequence as Seq
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from scripts.benchmarks.client import ask as ask_server
from scripts.benchmarks.figures import Spread, bootstrap, median, ratios
from scripts.benchmarks.prompts import Case, read
from scripts.benchmarks.servers import Setup, started
from scripts.benchmarks.serving import in_turn
from scripts.benchmarks.table import NOTHING, Row, quantity

MARKS = {"long edit": 2.0, "json copy": 2.0, "short edit": 1.3}
"""Speedups promised by kind of text; the rest must lose nothing to speak of."""

OTHERS = 0.99
_MOST_LOST = 0.01
_CALIBRATION_S = 60.0
SPEAKING = {"plain": (), "ngram-mod": ("--spec-type", "ngram-mod")}
"""llama-server's arguments for each kind of speculation that needs no second model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is asked: `kinds` of text, at most `cases` of each, answers of at most `tokens`.

    `shard` (I, N) takes only every N-th of these cases, from the I-th on; `more` are files of further cases.
    llama-server is asked in `rival_rounds`.
    """

    rounds: int
    kinds: tuple[str, ...]
    concurrency: tuple[int, ...]
    tokens: int
    cases: int
    shard: tuple[int, int] = (1, 1)
    more: tuple[Path, ...] = ()
    rival_rounds: int = 2

    def chosen(self) -> list[Case]:
        every = every_case(self.more)
        found: list[Case] = []
        for kind in dict.fromkeys(case.kind for case in every):
            if not self.kinds or kind in self.kinds:
                found += [case for case in every if case.kind == kind][: self.cases]
        part, parts = self.shard
        return [replace(case, max_tokens=min(case.max_tokens, self.tokens)) for case in found[part - 1 :: parts]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer by `how` it was made ("off", "ngram", "auto"), in the engine's own milliseconds."""

    case: str
    kind: str
    how: str
    round: int
    tokens: int
    prompt_ms: float
    decode_ms: float
    drafted: int
    accepted: int
    saved_ms: float
    risked_ms: float
    text: str

    @property
    def tps(self) -> float | None:
        return 1000 * (self.tokens - 1) / self.decode_ms if self.decode_ms > 0 and self.tokens > 1 else None

    @property
    def lost(self) -> float:
        """The worst standing of the loss account, as part of the whole request's time."""
        return self.risked_ms / (self.prompt_ms + self.decode_ms) if self.decode_ms else 0.0


@dataclass(slots=True)
class Found:
    """What was measured so far: `theirs` are llama-server's answers by the kind of speculation it was started with."""

    answers: list[Asked] = field(default_factory=list)
    loads: list[dict[str, Any]] = field(default_factory=list)
    theirs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    status: Any = None


def every_case(more: Iterable[Path] = ()) -> list[Case]:
    """Ours, and those of the files `more`: lines of JSON as ours, or with `messages` in place of `text`."""
    files = [Path(__file__).with_name("speculation_cases.jsonl"), *more]
    return [case for file in files for case in read(file)]


def joined(files: Iterable[Path]) -> tuple[list[Row], dict[str, Any]]:
    """The table of several measurements, each a file that `--json` wrote: shards, or rounds at different times."""
    raws = [json.loads(file.read_text(encoding="utf-8"))["speculation"] for file in files]
    answers, loads, theirs = [], [], {}
    for number, raw in enumerate(raws):
        # Rounds of different files are different rounds; only what was measured beside each other is compared.
        answers += [replace(Asked(**each), round=_apart(each, number)) for each in raw["answers"]]
        loads += [each | {"round": _apart(each, number)} for each in raw["together"]]
        for name, found in raw["llama-server"].items():
            theirs.setdefault(name, []).extend(each | {"round": _apart(each, number)} for each in found)
    written = {"answers": [asdict(each) for each in answers], "together": loads, "llama-server": theirs}
    return [*kind_rows(answers, theirs), *load_rows(loads)], written


def _apart(each: dict[str, Any], number: int) -> int:
    return int(each["round"]) + 1000 * number


def measure(setup: Setup, plan: Plan, draft: Path | None) -> tuple[list[Row], dict[str, Any]]:
    """Rows for the table, and everything measured; Ctrl-C keeps what there is. Raises Refused and DidNotStart."""
    found = Found()
    try:
        asyncio.run(_ours(setup, plan, draft, found))
        for name, extra in _rivals(setup, draft).items():
            _theirs(setup, extra, plan, found.theirs.setdefault(name, []))
    except KeyboardInterrupt:
        print("broken off: what follows is what was measured until then", file=sys.stderr, flush=True)
    raw = {
        "plan": asdict(plan) | {"more": [str(path) for path in plan.more]},
        "status": found.status,
        "answers": [asdict(answer) for answer in found.answers],
        "together": found.loads,
        "llama-server": found.theirs,
    }
    return [*kind_rows(found.answers, found.theirs), *load_rows(found.loads)], raw


# -- asking us --------------------------------------------------------------------------------------------------


async def _ours(setup: Setup, plan: Plan, draft: Path | None, found: Found) -> None:
    from edgellm.config import Settings
    from edgellm.runtime import assemble

    settings = Settings(
        context=setup.context,
        threads=setup.threads,
        parallel=setup.parallel,
        speculation="auto",
        backend=setup.backend,
    )
    path, chosen = str(setup.model), settings.model_settings()
    # With a draft model there are two ways to guess, and both are shown.
    hows = ("off", "ngram", "auto") if draft else ("off", "auto")
    import msgspec

    own = msgspec.to_builtins(chosen)
    model = assemble.local_model(path, {"name": setup.model.stem}, own, str(draft) if draft else None)
    await model.start()
    try:
        await _calibrated(model)
        for number in range(plan.rounds):
            for turn, case in enumerate(plan.chosen() if 1 in plan.concurrency else (), start=number):
                # Whoever came first would have to compute the prompt, and a GPU is slower for a while behind that.
                await _one(model, replace(case, max_tokens=1), "off", number)
                for how in in_turn(hows, turn):
                    found.answers.append(await _one(model, case, how, number))
                _tell(number, found.answers[-len(hows) :])
            for level in plan.concurrency:
                for group, cases in enumerate(_groups(plan.chosen(), level) if level > 1 else ()):
                    # What is computed the first time pushes other texts out of the cache, and is slower for it.
                    await _together(model, cases, "off", number)
                    for how in in_turn(hows, number + group):
                        found.loads.append(await _together(model, cases, how, number) | {"group": group})
                        print(f"round {number + 1}: {found.loads[-1]}", file=sys.stderr, flush=True)
        found.status = msgspec.to_builtins((await model.status()).speculation, str_keys=True)
    finally:
        await model.aclose()


async def _calibrated(model: Any) -> None:
    deadline = time.monotonic() + _CALIBRATION_S
    quiet = 0
    while quiet < 3 and time.monotonic() < deadline:
        before = (await model.status()).speculation
        await asyncio.sleep(1.5)
        quiet = quiet + 1 if (await model.status()).speculation == before and before.state == "on" else 0
    costs = (await model.status()).speculation.step_ms
    words = ", ".join(f"{rows}: {ms:.0f}" for rows, ms in costs.items())
    print(f"milliseconds of a step by rows: {words}", file=sys.stderr, flush=True)


async def _one(model: Any, case: Case, how: str, number: int) -> Asked:
    from edgellm.events import Failed, Finished, Text
    from edgellm.request import GREEDY, ask

    text, timings = "", None
    async for event in model.stream(ask(case.text, sampling=GREEDY, max_tokens=case.max_tokens, speculation=how)):
        match event:
            case Text(text=piece):
                text += piece
            case Finished():
                timings = event.timings
            case Failed():
                raise RuntimeError(f"{case.id}: {event.message}")
    assert timings is not None
    return Asked(
        case.id, case.kind, how, number, timings.predicted_n, timings.prompt_ms, timings.predicted_ms,
        timings.draft_n, timings.draft_n_accepted, timings.draft_saved_ms, timings.draft_risked_ms, text,
    )  # fmt: skip


def _groups(cases: Seq[Case], level: int) -> list[list[Case]]:
    """All cases, `level` to a group, those of each kind spread out; the last is filled up with the first cases."""
    by_kind: dict[str, list[Case]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case)
    mixed = [case for place in range(len(cases)) for several in by_kind.values() for case in several[place : place + 1]]
    around = cycle(mixed)
    return [list(islice(around, level)) for _ in range(-(-len(mixed) // level))]


async def _together(model: Any, cases: Seq[Case], how: str, number: int) -> dict[str, Any]:
    """All of `cases` at once, their prompts computed before; tokens a second of all together.

    Groups are short, and asked in each way one after the other: what a machine can do changes within minutes.
    """
    begin = time.perf_counter()
    answers = await asyncio.gather(*(_one(model, case, how, number) for case in cases))
    wall_s = time.perf_counter() - begin
    tokens = sum(answer.tokens for answer in answers)
    lost = max((answer.lost for answer in answers), default=0.0)
    drafted, accepted = sum(a.drafted for a in answers), sum(a.accepted for a in answers)
    return {
        "round": number, "at_once": len(cases), "how": how, "tokens": tokens, "wall_s": wall_s, "tps": tokens / wall_s,
        "lost": lost, "drafted": drafted, "accepted": accepted,
    }  # fmt: skip


def _tell(number: int, answers: Seq[Asked]) -> None:
    by = {answer.how: answer for answer in answers}
    off = by.pop("off")
    for how, on in by.items():
        if not (off.tps and on.tps):
            continue
        same = "same text" if off.text == on.text else "other text"
        print(
            f"round {number + 1}: {on.case}, {how}: {off.tps:.1f} -> {on.tps:.1f} tok/s, {on.tps / off.tps:.2f}x, "
            f"{on.accepted} of {on.drafted} drafted, saved {on.saved_ms:.0f} ms, lost {100 * on.lost:.2f} %, {same}",
            file=sys.stderr,
            flush=True,
        )


# -- asking llama-server ----------------------------------------------------------------------------------------


def _rivals(setup: Setup, draft: Path | None) -> dict[str, tuple[str, ...]]:
    if not setup.llama_server:
        return {}
    more = {"draft-simple": ("--spec-type", "draft-simple", "-md", str(draft))} if draft else {}
    return {**SPEAKING, **more}


def _theirs(setup: Setup, extra: tuple[str, ...], plan: Plan, found: list[dict[str, Any]]) -> None:
    """Into `found`: tokens a second of each case in each round, as seen from outside."""
    with started(replace(setup, extra=(*setup.extra, *extra)), "llama-server") as server:
        server.wait_until_ready()
        for number in range(min(plan.rounds, plan.rival_rounds)):
            for case in plan.chosen():
                answer = ask_server(server.port, case)
                found.append({"case": case.id, "kind": case.kind, "round": number, "tps": answer.decode_tps})


# -- telling ----------------------------------------------------------------------------------------------------


def kind_rows(answers: Seq[Asked], theirs: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """For each kind of text: on against off, what the loss accounts say, and what llama-server reached."""
    rows: list[Row] = []
    both = any(answer.how == "ngram" for answer in answers)
    for kind in dict.fromkeys(answer.kind for answer in answers):
        off, copies, on = ([a for a in answers if a.kind == kind and a.how == how] for how in ("off", "ngram", "auto"))
        if both:
            rows += [_speedup_row(kind, f"{kind}: on without the draft model", copies, off), account_row(kind, copies)]
        rows += [_speedup_row(kind, f"{kind}: on against off", on, off), account_row(kind, on)]
        rows += [_rival_row(kind, name, on, found) for name, found in theirs.items()]
    return rows


def _speedup_row(kind: str, name: str, on: Seq[Asked], off: Seq[Asked]) -> Row:
    middle, mark = bootstrap(paired(on, off)), MARKS.get(kind, OTHERS)
    return Row(
        name=name,
        ours=quantity(median(a.tps for a in on), "tok/s"),
        theirs=quantity(median(a.tps for a in off), "tok/s"),
        ratio=middle,
        target=f">= {mark:.2f}x",
        met=middle.median >= mark if middle else None,
    )


def paired(on: Iterable[Asked], off: Iterable[Asked]) -> list[float]:
    """Speedups of the same case in the same round."""
    plain = {(answer.case, answer.round): answer.tps for answer in off}
    return ratios((answer.tps, plain.get((answer.case, answer.round))) for answer in on)


def account_row(kind: str, on: Seq[Asked]) -> Row:
    drafted, accepted = sum(a.drafted for a in on), sum(a.accepted for a in on)
    worst = max((a.lost for a in on), default=0.0)
    return Row(
        name=f"{kind}: loss account at its worst, of {accepted:,} accepted and {drafted:,} drafted",
        ours=f"{100 * worst:.2f} %",
        target=f"<= {100 * _MOST_LOST:.0f} %",
        met=worst <= _MOST_LOST,
    )


def _rival_row(kind: str, name: str, on: Seq[Asked], found: Seq[dict[str, Any]]) -> Row:
    mine = {(answer.case, answer.round): answer.tps for answer in on}
    rival = [each for each in found if each["kind"] == kind]
    return Row(
        name=f"{kind}: against llama-server, {name}",
        ours=quantity(median(mine.values()), "tok/s"),
        theirs=quantity(median(each["tps"] for each in rival), "tok/s"),
        ratio=bootstrap(ratios((mine.get((each["case"], each["round"])), each["tps"]) for each in rival)),
        target=NOTHING,
    )


def load_rows(loads: Seq[dict[str, Any]]) -> list[Row]:
    rows = []
    for level in sorted({load["at_once"] for load in loads}):
        tps: dict[str, dict[tuple[int, int], float]] = {"off": {}, "ngram": {}, "auto": {}}
        for load in loads:
            if load["at_once"] == level:
                tps[load["how"]][load["round"], load.get("group", 0)] = load["tps"]
        middle: Spread | None = bootstrap(ratios((tps["auto"].get(n), off) for n, off in tps["off"].items()))
        rows.append(
            Row(
                name=f"{level} at once: all together, on against off",
                ours=quantity(median(tps["auto"].values()), "tok/s"),
                theirs=quantity(median(tps["off"].values()), "tok/s"),
                ratio=middle,
                target=">= 0.99x",
                met=middle.median >= 0.99 if middle else None,
            )
        )
    return rows
