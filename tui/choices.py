"""The models that can be chosen: those on this machine and those known by name, each with whether and how it fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from edgellm.config import Settings

if TYPE_CHECKING:
    from edgellm.catalog.model_facts import ModelFacts
    from edgellm.fit.plan import Planner

Verdict = Literal["remote", "silent", "fits", "tight", "no"]
"""Those of upstreams are remote, or silent where their upstream does not answer."""
_ORDER: dict[Verdict, int] = {"remote": 0, "silent": 1, "fits": 2, "tight": 3, "no": 4}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One model in one quantization; `per_s` tokens a second as foreseen, `bytes` of its file, `memory` that it takes
    with `context` tokens, of `room` bytes that are free. `note` tells of one that is not for this machine."""

    name: str
    quantization: str
    here: bool
    verdict: Verdict
    per_s: float
    bytes: int
    title: str = ""
    license: str = ""
    parameters: int = 0
    memory: int = 0
    context: int = 0
    room: int = 0
    note: str = ""


def choices(settings: Settings) -> list[Choice]:
    """All of them: those that are here, those of upstreams, then by what fits. Raises EdgeLLMError.

    Blocks for about a second, and for as long as the settings have upstreams waited for.
    """
    from edgellm.machine import machine as machines, measurements
    from edgellm.runtime import planned, threads

    machine = machines.detect(kept=measurements.kept())
    used = msgspec.structs.replace(settings.model_settings(), threads=threads.threads(settings, machine))
    planner = planned.planner(machine, used)
    here = list(_here(planner))
    names = {choice.name for choice in here}
    known = (choice for choice in _known(planner) if choice.name not in names)
    found = [*here, *_elsewhere(settings), *known]
    return sorted(found, key=lambda one: (not one.here, _ORDER[one.verdict], one.bytes))


def _here(planner: Planner) -> Iterator[Choice]:
    """What lies on this machine, whoever brought it, but for what writes no text."""
    from edgellm.catalog import catalog as catalogs
    from edgellm.errors import EdgeLLMError
    from edgellm.runtime import offers
    from edgellm.runtime.known_facts import facts_of

    for offer in offers.on_this_machine():
        if offer.kind != "chat":
            continue
        try:
            facts = facts_of(offer.located.path)
        except (EdgeLLMError, OSError):  # the list is no place to tell of a file that is damaged
            continue
        name = offer.info.name
        entry = offer.located.entry or catalogs.current().named(name.partition(":")[0])
        title, license = (entry.title, entry.license) if entry is not None else ("", "")
        yield _choice(planner, name, facts, here=True, title=title, license=license)


def _known(planner: Planner) -> Iterator[Choice]:
    """What the catalog names, each in its usual quantization."""
    from edgellm.catalog import catalog as catalogs
    from edgellm.runtime import candidates

    seen: set[str] = set()
    entries = catalogs.current().entries
    for candidate in candidates.of_catalog():
        if candidate.model not in seen and not candidate.facts.pooling:
            seen.add(candidate.model)
            entry = entries[candidate.model]
            yield _choice(
                planner, candidate.model, candidate.facts, here=False, title=entry.title, license=entry.license
            )


def _elsewhere(settings: Settings) -> Iterator[Choice]:
    from edgellm.runtime import upstreams
    from edgellm.runtime.upstream_model import shown

    for seen in upstreams.seen(settings):
        for model in seen.models:
            yield Choice(
                name=shown(seen.upstream, model, seen.flavour).name,
                quantization=model.quantization,
                here=False,
                verdict="remote" if seen.answers else "silent",
                per_s=0.0,
                bytes=0,
                parameters=model.parameters,
                note=seen.problem or f"The upstream {seen.upstream.name} answers for it.",
            )


def _choice(planner: Planner, name: str, facts: ModelFacts, *, here: bool, title: str, license: str) -> Choice:
    plan = planner.plan(facts, model=name)
    return Choice(
        name=name,
        quantization=facts.quantization,
        here=here,
        verdict=plan.verdict,
        per_s=plan.speed.decode,
        bytes=facts.file_bytes or facts.weight_bytes,
        title=title,
        license=license,
        parameters=facts.parameters,
        memory=plan.memory.needed,
        context=plan.context,
        room=planner.machine.usable_memory,
    )
