"""Which of the models that a name may mean suits this machine: it fits, and it writes as fast as one reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgellm.catalog.catalog import Target
from edgellm.catalog.entry import Entry
from edgellm.catalog.metadata import ModelFacts
from edgellm.config import Settings
from edgellm.errors import LoadError, ModelNotFound
from edgellm.fit.choice import FLUENT
from edgellm.fit.plan import Planner
from edgellm.fit.variants import guessed
from edgellm.runtime.known_facts import facts_of


def suited(
    targets: Sequence[Target],
    here: Callable[[Target], Path | None],
    settings: Settings,
    planner: Callable[[Settings], Planner] | None = None,
) -> Target:
    """Of `targets`, from large to small, the largest on this machine that fits; else the largest to be fetched that
    fits and is fluent; else the smallest. Where the facts of a model are not known, it counts as fitting if it is here.
    """
    if len(targets) == 1:
        return targets[0]
    planning = (planner or _planner)(settings)
    found = [(target, here(target)) for target in targets]
    present = [(target, path) for target, path in found if path is not None]
    for target, path in present:
        facts = _read(path)
        if facts is None or planning.plan(facts).verdict != "no":
            return target
    if present:
        return present[-1][0]
    return next((target for target in targets if _is_fluent(target, planning)), targets[-1])


def _is_fluent(target: Target, planning: Planner) -> bool:
    if not isinstance(target, Entry):
        return False
    plan = planning.plan(guessed(target.name, target.parameters, target.context, target.quantization))
    return plan.verdict == "fits" and plan.speed.decode >= FLUENT


def _read(path: Path) -> ModelFacts | None:
    try:
        return facts_of(path)
    except (LoadError, ModelNotFound):
        return None


def _planner(settings: Settings) -> Planner:
    from edgellm.machine.machine import detect
    from edgellm.runtime.planned import planner

    return planner(detect(), settings.model_settings())
