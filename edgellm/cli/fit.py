"""`edgellm fit`: what of a model, or of all models known by name, fits this machine, and how fast it would run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.config import Settings
    from edgellm.fit.plan import Plan, Planner
    from edgellm.runtime.candidates import Candidate

    Found = list[tuple[Candidate, Plan]]


def fit(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A name, a path, or user/repository of the model hub.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
    context: options.Context = None,
    kv_type: options.KvType = None,
    rpc: options.Rpc = None,
    offline: options.Offline = None,
) -> int:
    """Show what fits this machine: every quantization of MODEL, or every model known by name.

    The one to take is marked. Memory and speed are computed from headers, without loading anything; speeds are
    corrected by what earlier runs on this machine have shown. The exit code is 1 if nothing fits.
    """
    from edgellm import config
    from edgellm.cli import doctor
    from edgellm.fit.choice import choose
    from edgellm.runtime import upstreams

    settings = config.load({"context": context, "kv_type": kv_type, "rpc": rpc, "offline": offline})
    planner, found = doctor.shown("looking at models and this machine", lambda: _plans(settings, model))
    chosen = _chosen(found, choose)
    taken = doctor.shown("choosing", lambda: _taken(settings, model, planner)) if model is not None else {}
    if model is not None and not chosen and (there := upstreams.having(model, settings)):
        taken |= {"upstream": there}
    if as_json:
        import json

        print(json.dumps({**_json(planner, found, chosen), **taken}, indent=2))
    else:
        from edgellm.cli import fit_text

        print(fit_text.text(planner, found, chosen, single=model is not None, colour=doctor.coloured()))
        if "taken" in taken:
            print("", fit_text.wrapped(f"{model} is {taken['taken']} here: {taken['reason']}."), sep="\n")
        if "upstream" in taken:
            print("", fit_text.wrapped(taken["upstream"]), sep="\n")
    return 0 if chosen else 1


def _plans(settings: Settings, model: str | None) -> tuple[Planner, Found]:
    import msgspec

    from edgellm.machine import bandwidth, machine as machines, measurements
    from edgellm.runtime import candidates, planned, rpc_servers, threads

    kept = measurements.kept()
    machine = machines.detect(kept=kept)
    machine = msgspec.structs.replace(machine, bandwidth=bandwidth.measured(machine, kept))
    used = msgspec.structs.replace(settings.model_settings(), threads=threads.threads(settings, machine))
    machine = rpc_servers.with_servers(machine, settings.rpc, offline=settings.offline)
    planner = planned.planner(machine, used, kept)
    found = candidates.of_catalog() if model is None else candidates.of_name(model, offline=settings.offline)
    pairs = [(each, _plan(planner, each)) for each in found if not each.facts.pooling]
    return planner, pairs if model is None else sorted(pairs, key=lambda pair: pair[1].bits)


def _taken(settings: Settings, model: str, planner: Planner) -> dict[str, str]:
    """Which of several models MODEL stands for on this machine, and why; empty where it means one."""
    from edgellm.catalog import catalog
    from edgellm.runtime import suited
    from edgellm.runtime.locate import choose

    known = catalog.current()
    if catalog.here(model) is not None or len(candidates := known.candidates(model)) == 1:
        return {}
    chosen = choose(candidates, known, settings, planner)
    return {"taken": suited.name(chosen.target), "reason": chosen.reason}


def _plan(planner: Planner, candidate: Candidate) -> Plan:
    from pathlib import Path

    from edgellm.runtime.planned import identity

    own = identity(Path(candidate.path)) if candidate.path else ""
    return planner.plan(candidate.facts, model=candidate.model, draft=candidate.draft, identity=own)


def _chosen(found: Found, choose: Any) -> list[Plan]:
    """The quantization to take of each model that has one which fits."""
    by_model: dict[str, list[Plan]] = {}
    small = {candidate.model: candidate.facts.parameters < 10**9 for candidate, _ in found}
    for candidate, plan in found:
        by_model.setdefault(candidate.model, []).append(plan)
    best = (choose(plans, small=small[model]) for model, plans in by_model.items())
    return [plan for plan in best if plan is not None]


def _json(planner: Planner, found: Found, chosen: list[Plan]) -> dict[str, Any]:
    import msgspec

    rows = [
        {
            **msgspec.to_builtins(plan),
            "memory": {**msgspec.to_builtins(plan.memory), "total": plan.memory.total, "needed": plan.memory.needed},
            "parameters": candidate.facts.parameters,
            "trained_context": candidate.facts.context,
            "weight_bytes": candidate.facts.weight_bytes,
            "exact": candidate.read,
            "here": candidate.here,
            "chosen": any(plan is each for each in chosen),
        }
        for candidate, plan in found
    ]
    return {"machine": msgspec.to_builtins(planner.machine), "models": rows}
