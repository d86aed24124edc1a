"""`edgellm doctor`: what this machine is, what edgellm can use of it, and what to run next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from edgellm.cli.diagnosis import Diagnosis, LocalModel, UpstreamFound
    from edgellm.config import Settings
    from edgellm.fit.plan import Planner
    from edgellm.machine.machine import Gpu, Machine
    from edgellm.machine.measurements import Measurements

_PATIENCE_S = 10.0
"""For drivers that sleep: here somebody wants to know, elsewhere somebody wants an answer."""

Result = TypeVar("Result")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """Show this machine, the backends and the models on it, and what to run next.

    The exit code is 1 if no backend can be used.
    """
    from edgellm import config

    found = _diagnosis(config.load())
    if as_json:
        import json

        print(json.dumps(found.as_json(), indent=2))
    else:
        from edgellm.cli import doctor_text

        print(doctor_text.text(found, typer.style if coloured() else None))
    return 0 if found.works else 1


def _diagnosis(settings: Settings) -> Diagnosis:
    import msgspec

    from edgellm import paths
    from edgellm.cli.diagnosis import Diagnosis
    from edgellm.machine import bandwidth, machine as machines, measurements
    from edgellm.runtime import installed, threads

    kept, folder = measurements.kept(), paths.models_dir()
    machine = shown("looking at this machine", lambda: machines.detect(folder, kept=kept, patience_s=_PATIENCE_S))
    speed = machine.bandwidth or shown("measuring how fast memory is read", lambda: bandwidth.measured(machine, kept))
    machine = msgspec.structs.replace(machine, bandwidth=speed)
    servers, problem = _servers(settings, machine)
    with_servers = msgspec.structs.replace(machine, gpus=(*servers, *machine.gpus))
    return Diagnosis(
        machine=machine,
        servers=servers,
        servers_problem=problem,
        threads=threads.threads(settings, machine),
        saving=not settings.threads and threads.saves_power(settings, machine),
        backends=shown("asking the backends what they can use", lambda: installed.backends(machine, kept)),
        models=shown("reading what the models here need", lambda: _judged(_models(), settings, with_servers, kept)),
        models_dir=str(folder),
        default=_default(settings),
        upstreams=shown("asking upstreams", lambda: _upstreams(settings)),
    )


def _upstreams(settings: Settings) -> tuple[UpstreamFound, ...]:
    from edgellm.cli.diagnosis import UpstreamFound
    from edgellm.remote.flavour import shown_as
    from edgellm.runtime import upstream_key, upstreams

    return tuple(
        UpstreamFound(
            name=each.upstream.name,
            url=each.upstream.url,
            answers=each.answers,
            problem=each.problem,
            program=each.flavour if each.answers else "",
            models=tuple(shown_as(model.name) for model in each.models),
            ms=each.ms,
            key=upstream_key.place(each.upstream),
        )
        for each in upstreams.seen(settings)
    )


def _servers(settings: Settings, machine: Machine) -> tuple[tuple[Gpu, ...], str]:
    """The devices that RPC servers lend, or why they cannot."""
    from edgellm.errors import EdgeLLMError
    from edgellm.runtime.rpc_servers import with_servers

    if not settings.rpc:
        return (), ""
    try:
        lent = shown("asking the RPC servers", lambda: with_servers(machine, settings.rpc, offline=settings.offline))
    except EdgeLLMError as error:
        return (), str(error)
    return tuple(gpu for gpu in lent.gpus if gpu.kind == "rpc"), ""


def _judged(
    models: tuple[LocalModel, ...], settings: Settings, machine: Machine, kept: Measurements
) -> tuple[LocalModel, ...]:
    """`models`, each with whether it fits; without that where its header cannot be read, or nothing here runs it."""
    import msgspec

    from edgellm.runtime import planned, threads

    used = msgspec.structs.replace(settings.model_settings(), threads=threads.threads(settings, machine))
    planner = planned.planner(machine, used, kept)
    return tuple(msgspec.structs.replace(model, verdict=_verdict(model, planner)) for model in models)


def _verdict(model: LocalModel, planner: Planner) -> str:
    from pathlib import Path

    from edgellm.errors import EdgeLLMError
    from edgellm.runtime.known_facts import facts_of

    try:
        facts = facts_of(Path(model.path))
    except (EdgeLLMError, OSError):
        return ""
    plan = None if facts.pooling else planner.plan(facts)
    return plan.verdict if plan is not None and plan.backend.usable else ""


def shown(what: str, work: Callable[[], Result]) -> Result:
    """The result of `work`, with a line on stderr if that takes more than a second."""
    import asyncio

    from edgellm.cli.progress import waiting

    async def wait() -> Result:
        async with waiting(what):
            return await asyncio.to_thread(work)

    return asyncio.run(wait())


def _models() -> tuple[LocalModel, ...]:
    """Those that edgellm fetched or that lie in its directory, then those of other programs."""
    import os
    from pathlib import Path

    from edgellm.catalog import catalog, found
    from edgellm.cli.diagnosis import LocalModel
    from edgellm.download.store import Store

    store = Store()
    fetched = {each.folder: each for each in store.manifests()}
    own = [
        LocalModel(
            name=each.reference,
            bytes=each.bytes,
            path=str(each.path),
            format=each.format,
            quantization=each.quantization,
        )
        for each in fetched.values()
    ]
    own += [
        LocalModel(name=entry.name, bytes=entry.bytes, path=str(store.path(entry)), quantization=entry.quantization)
        for entry in catalog.current().entries.values()
        if entry.name not in fetched and store.is_present(entry)
    ]
    others = [
        LocalModel(name=each.name, bytes=each.bytes, path=str(each.path), origin=each.origin, format=each.format)
        for each in found.models(os.environ, Path.home())
    ]
    return (*own, *others)


def _default(settings: Settings) -> str:
    """The name of the model that is taken when none is named; empty where that is nothing known."""
    from edgellm.catalog import catalog

    entry = catalog.current().named(settings.model)
    return entry.name if entry is not None else ""


def coloured() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
