"""Which of the models that a name may mean suits this machine, and why: it fits, and it writes as fast as one reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from edgellm.catalog.catalog import Target
from edgellm.catalog.entry import Entry
from edgellm.catalog.metadata import ModelFacts
from edgellm.catalog.reference import UpstreamReference, UrlReference
from edgellm.config import Settings
from edgellm.errors import DownloadError, LoadError, ModelNotFound
from edgellm.fit import words
from edgellm.fit.choice import FLUENT
from edgellm.fit.plan import Plan, Planner
from edgellm.fit.variants import guessed
from edgellm.runtime.known_facts import facts_of
from edgellm.runtime.rpc_servers import with_servers
from edgellm.runtime.threads import saves_power, threads

_HOPELESS = 1.5
"""Times the free memory: what is guessed to need more is not asked for, guesses being within a third or so."""

_FITTING = {"fits": "fits comfortably", "tight": "just fits"}

Meant = Target | UpstreamReference
Judged = tuple[Meant, Plan | None]
"""A model and its plan; None where nobody could read what it is."""


class Suited(msgspec.Struct, frozen=True):
    """`reason` is a clause for people, empty where there was nothing to choose."""

    target: Meant
    reason: str = ""


def suited(
    targets: Sequence[Meant],
    here: Callable[[Target], Path | None],
    settings: Settings,
    planner: Callable[[Settings], Planner] | None = None,
    *,
    ask: bool = True,
    answers: Callable[[UpstreamReference], bool] = lambda _: False,
) -> Suited:
    """Of `targets`, from large to small, the largest on this machine that fits comfortably, else that just fits.

    Where none does, it is the largest to be fetched that fits comfortably and is fluent; else the smallest. To save the
    battery it is one size smaller. The hub tells what models are that are not here, unless `ask` or the settings forbid
    it: then the catalog must do. A model here that cannot be read counts as fitting: whoever loads it says why not. So
    does a model of an upstream that `answers`; of one that does not, only what is left over is taken.
    """
    if len(targets) == 1:
        return Suited(targets[0])
    planning = (planner or planner_of)(settings)
    present = list(_present(targets, here, answers, planning))
    targets = [each for each in targets if not isinstance(each, UpstreamReference)] or targets
    saving = saves_power(settings, planning.machine)
    for wanted in ("fits", "tight"):
        able = [(target, plan) for target, plan in present if plan is None or plan.verdict == wanted]
        if able:
            larger = _larger(able[0][0], targets, planning) if wanted == "fits" and not saving else ""
            return _chosen(able, planning, saving, f"the largest on this machine that {_FITTING[wanted]}", larger)
    if settings.offline:
        return _smallest(present, targets, "because none is on this machine, and offline none can be fetched")
    fluent = _to_fetch(targets, planning, saving, ask)
    if fluent:
        return _chosen(fluent, planning, saving, "the largest that fits comfortably and writes as fast as one reads")
    return _smallest(present, targets, "because here no larger one fits and writes as fast as one reads")


def _present(
    targets: Sequence[Meant],
    here: Callable[[Target], Path | None],
    answers: Callable[[UpstreamReference], bool],
    planning: Planner,
) -> Iterator[Judged]:
    for target in targets:
        if isinstance(target, UpstreamReference):
            if answers(target):
                yield target, None
        elif (path := here(target)) is not None:
            yield target, _plan(_read(path), planning)


def planner_of(settings: Settings) -> Planner:
    """For this machine as it is now."""
    from edgellm.machine.machine import detect
    from edgellm.runtime.planned import planner

    machine = with_servers(detect(), settings.rpc, offline=settings.offline)
    return planner(machine, msgspec.structs.replace(settings.model_settings(), threads=threads(settings, machine)))


def _chosen(able: Sequence[Judged], planning: Planner, saving: bool, reason: str, further: str = "") -> Suited:
    """The first of `able`, or the second to save the battery."""
    if isinstance(able[0][0], UpstreamReference):
        return Suited(able[0][0], f"the upstream {able[0][0].upstream} answers")
    if saving and len(able) > 1:
        target, plan = able[1]
        reason = f"a size smaller than would fit, to save the battery (on_battery = full takes {name(able[0][0])})"
    else:
        target, plan = able[0]
    figures = f" ({_figures(plan, planning)})" if plan is not None else ""
    return Suited(target, f"{reason}{figures}{further}")


def _figures(plan: Plan, planning: Planner) -> str:
    return f"{words.size(plan.memory.total)} of the {words.size(planning.machine.usable_memory)} that are free"


def _smallest(present: Sequence[Judged], targets: Sequence[Meant], why: str) -> Suited:
    """What is left: of what is here if anything is, for that does not fit either."""
    if present:
        return Suited(present[-1][0], "the smallest on this machine, for none of them fits")
    return Suited(targets[-1], f"the smallest of them, {why}")


def _larger(taken: Meant, targets: Sequence[Meant], planning: Planner) -> str:
    """What could be fetched that is larger and would suit too, as far as the catalog tells."""
    above = targets[: list(targets).index(taken)] if taken in targets else ()
    able = next((target for target in above if _is_fluent(_plan(_guess(target), planning))), None)
    return f"; {name(able)} would suit too, once `edgellm pull {name(able)}` has brought it" if able else ""


def _to_fetch(targets: Sequence[Meant], planning: Planner, saving: bool, ask: bool) -> list[Judged]:
    """The largest that suits and, to save the battery, the next that does."""
    able: list[Judged] = []
    for target in targets:
        plan = _plan(_guess(target), planning)
        if plan is not None and plan.memory.needed > _HOPELESS * planning.machine.usable_memory:
            continue
        plan = (_plan(_told(target), planning) if ask else None) or plan
        if _is_fluent(plan):
            able.append((target, plan))
        if len(able) > saving:
            break
    return able


def _is_fluent(plan: Plan | None) -> bool:
    return plan is not None and plan.verdict == "fits" and plan.speed.decode >= FLUENT


def _plan(facts: ModelFacts | None, planning: Planner) -> Plan | None:
    return planning.plan(facts) if facts is not None else None


def _guess(target: Meant) -> ModelFacts | None:
    if not isinstance(target, Entry) or not target.parameters:
        return None
    return guessed(target.name, target.parameters, target.context, target.asked or target.quantization)


def _told(target: Meant) -> ModelFacts | None:
    """What the hub and a header tell of a model that is not here; None where they do not."""
    from edgellm.runtime import candidates

    if isinstance(target, UpstreamReference):
        return None
    try:
        return candidates.to_fetch(target)
    except (DownloadError, LoadError, ModelNotFound):
        return None


def _read(path: Path) -> ModelFacts | None:
    try:
        return facts_of(path)
    except (LoadError, ModelNotFound):
        return None


def name(target: Meant) -> str:
    """How somebody would write it."""
    match target:
        case Entry():
            return target.reference
        case UrlReference():
            return target.url
        case _:
            return str(target)
