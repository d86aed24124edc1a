"""What `edgellm fit` found, as a table of at most 80 columns and the reasons for the choice."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from edgellm.fit import words
from edgellm.fit.verdict import device_room

if TYPE_CHECKING:
    from edgellm.fit.plan import Plan, Planner
    from edgellm.runtime.candidates import Candidate

WIDTH = 80
_COLOURS = {"fits": "green", "tight": "yellow", "no": "red"}
_HEAD = ("", "", "FITS", "MEMORY", "TOKENS/S", "CONTEXT", "UP TO", "")
_RIGHT = (3, 4, 5, 6)


def text(
    planner: Planner,
    found: Sequence[tuple[Candidate, Plan]],
    chosen: Sequence[Plan],
    *,
    single: bool,
    colour: bool = False,
) -> str:
    """`single`: every quantization, of one model; else, of every model, the one to take."""
    if not single:
        best = {plan.model: plan for plan in chosen}
        first = {candidate.model: plan for candidate, plan in reversed(found)}
        shown = [(c, p) for c, p in found if p is best.get(c.model, first[c.model])]
        blocks = [_table(shown, chosen, "MODEL", colour)]
        return "\n\n".join([*blocks, _notes(planner, shown, single=False)])
    models = list(dict.fromkeys(candidate.model for candidate, _ in found))
    blocks = []
    for model in models:
        rows = [(candidate, plan) for candidate, plan in found if candidate.model == model]
        blocks.append(f"{_title(rows[0][0])}\n\n{_table(rows, chosen, 'QUANTIZATION', colour)}")
        taken = next((plan for _, plan in rows if any(plan is each for each in chosen)), None)
        blocks.append(_reasons(taken) if taken is not None else _refusal(rows, planner))
    return "\n\n".join([*blocks, _notes(planner, found, single=True)])


def wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)


def _title(candidate: Candidate) -> str:
    facts = candidate.facts
    parts = [candidate.model, f"{_count(facts.parameters)} parameters"]
    if facts.experts:
        parts.append(f"{facts.experts_used} of {facts.experts} experts at a time")
    parts.append(f"trained for {words.tokens(facts.context)}" if facts.context else "")
    return "\n".join(textwrap.wrap(", ".join(part for part in parts if part), WIDTH))


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 10**9 else f"{parameters / 1e6:.0f}M"


def _table(rows: Sequence[tuple[Candidate, Plan]], chosen: Sequence[Plan], first: str, colour: bool) -> str:
    cells = [(_HEAD[0], first, *_HEAD[2:]), *(_cells(*row, chosen, first == "MODEL") for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    over = sum(widths) + 2 * (len(widths) - 2) - WIDTH
    widths[1] = max(16, widths[1] - max(0, over))
    return "\n".join(_line(row, widths, colour) for row in cells)


def _cells(candidate: Candidate, plan: Plan, chosen: Sequence[Plan], by_model: bool) -> tuple[str, ...]:
    about = "" if candidate.read else "~"
    name = f"{plan.model} {plan.quantization}" if by_model else plan.quantization or "unnamed"
    speed = plan.speed.decode
    return (
        "*" if any(plan is each for each in chosen) else " ",
        name,
        plan.verdict if plan.backend.usable else "no use",
        about + words.size(plan.memory.total + plan.memory.gpu * (plan.memory.gpu > 0 and not _shares(plan))),
        f"{speed:,.0f}" if speed >= 9.95 else f"{speed:.1f}",
        f"{plan.context:,}",
        f"{plan.longest:,}" if plan.longest else "none",
        "here" if candidate.here else "",
    )


def _shares(plan: Plan) -> bool:
    """Whether what the GPU takes is already counted with the computer's memory."""
    return not plan.placement.servers and plan.memory.gpu <= plan.memory.weights


def _line(row: tuple[str, ...], widths: Sequence[int], colour: bool) -> str:
    parts = []
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if len(cell) > width:
            cell = cell[: width - 1] + "…"
        padded = cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        if colour and column == 2 and cell in _COLOURS:
            padded = typer.style(padded, fg=_COLOURS[cell])
        parts.append(padded)
    return (parts[0] + " " + "  ".join(parts[1:])).rstrip()


def _reasons(plan: Plan) -> str:
    head = f"* {plan.quantization}: " if plan.quantization else "* "
    body = "; ".join(reason[0].lower() + reason[1:] if index else reason for index, reason in enumerate(plan.reasons))
    return textwrap.fill(head + body + ".", WIDTH, subsequent_indent="  ")


def _refusal(rows: Sequence[tuple[Candidate, Plan]], planner: Planner) -> str:
    from edgellm.fit.nearest import nearest

    candidate, plan = min(rows, key=lambda row: row[1].memory.needed)
    if not plan.backend.usable:
        return textwrap.fill(f"None of these can be used: {plan.backend.reason}.", WIDTH)
    needed, room = words.size(plan.memory.needed), words.size(planner.machine.usable_memory)
    said = f"None fits: even {plan.quantization} needs {needed}, and {room} are free."
    return textwrap.fill(f"{said} {nearest(plan, candidate.facts, planner)}", WIDTH)


def _notes(planner: Planner, rows: Sequence[tuple[Candidate, Plan]], *, single: bool) -> str:
    machine = planner.machine
    own = (gpu for gpu in machine.gpus if gpu.kind != "rpc")
    lent = [f"{gpu.name} with {words.size(device_room(gpu))} to lend" for gpu in machine.gpus if gpu.kind == "rpc"]
    gpus = "".join(f", {gpu.name} with {words.size(gpu.free)} free" for gpu in own)
    notes = [f"This machine: {words.size(machine.usable_memory)} of memory free, {machine.threads} fast cores{gpus}."]
    notes += [f"RPC servers: {', '.join(lent)}."] if lent else []
    if any(not candidate.read for candidate, _ in rows):
        notes.append("~ is estimated; exact once the model is here.")
    if not single:
        notes.append("* is the quantization to take; `edgellm fit MODEL` shows all of a model.")
        if all(plan.speed.basis == "estimated" for _, plan in rows):
            notes.append("Speeds are guesses until the first run of any model.")
    return textwrap.fill(" ".join(notes), WIDTH)


__all__ = ["WIDTH", "text"]
