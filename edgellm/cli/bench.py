"""`edgellm bench`: how fast a model is on this machine, and what guessing ahead makes of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.cli.benchmark.figures import Report
    from edgellm.cli.benchmark.measure import Bench
    from edgellm.config import Settings
    from edgellm.model import Model

_RIVAL = "Another server"


def bench(
    model: options.Model = None,
    draft: options.Draft = None,
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="Half a minute instead of minutes: fewer, shorter answers.")
    ] = False,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Ask every question N times.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
    explain: options.Explain = False,
    compare: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask an OpenAI-compatible server the same, in turn.", rich_help_panel=_RIVAL),
    ] = None,
    compare_model: Annotated[
        str, typer.Option(metavar="NAME", help="Its model; the first it names if not set.", rich_help_panel=_RIVAL)
    ] = "",
    api_key: Annotated[
        str, typer.Option(metavar="KEY", help="What it asks for, if anything.", rich_help_panel=_RIVAL)
    ] = "",
    context: options.Context = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.KvType = None,
    flash_attention: options.FlashAttention = None,
    backend: options.Backend = None,
    rpc: options.Rpc = None,
    offline: options.Offline = None,
    log_level: options.LogLevel = None,
) -> int:
    """Measure a model: reading, writing, steps of several rows, and guessing ahead by kind of answer."""
    from edgellm import config
    from edgellm.cli import session
    from edgellm.errors import ConfigError
    from edgellm.runtime import upstreams

    settings = config.load(
        {
            "model": model,
            "draft": draft,
            "context": context,
            "threads": threads,
            "gpu_layers": gpu_layers,
            "kv_type": kv_type,
            "flash_attention": flash_attention,
            "backend": backend,
            "rpc": rpc,
            "offline": offline,
            "log_level": log_level,
        }
    )
    if (elsewhere := upstreams.meant(settings.model, settings)) is not None:
        raise ConfigError(
            f"{elsewhere} is a model of an upstream, and bench measures this machine. Name a model that is here; "
            "--compare URL asks a server the same beside it."
        )
    rival = _server(compare, compare_model, api_key) if compare else None
    report = _measured(session.open_model(settings, settings.model, explain=explain), settings, rival, quick, rounds)
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        from edgellm.cli.benchmark import plot, report as shown

        print(shown.text(report, blocks=plot.can_show_blocks(sys.stdout.encoding)))
    return 0


def _server(url: str, name: str, api_key: str) -> Model:
    from edgellm.remote.openai_server import OpenAIServer

    return OpenAIServer(url, name, api_key)


def _measured(model: Model, settings: Settings, rival: Model | None, quick: bool, rounds: int) -> Report:
    from edgellm.cli import session
    from edgellm.cli.benchmark.cases import chosen
    from edgellm.cli.benchmark.measure import Bench
    from edgellm.cli.benchmark.progress import Line

    with session.Session(model) as opened:
        try:
            if rival is not None:
                opened.run(rival.start())
            with Line() as line:
                bench = Bench(opened.model, chosen(quick) * rounds, line, quick=quick, rival=rival)
                opened.run(bench.run())
        finally:
            if rival is not None:
                opened.run(rival.aclose())
    return _report(settings, opened.model, rival, bench)


def _report(settings: Settings, model: Model, rival: Model | None, bench: Bench) -> Report:
    """The figures, put beside what this machine is."""
    from edgellm import __version__
    from edgellm.cli.benchmark.figures import Report
    from edgellm.cli.benchmark.limit import known_facts, limited
    from edgellm.machine import bandwidth, measurements
    from edgellm.machine.machine import detect
    from edgellm.runtime.threads import threads as threads_for

    machine, facts = detect(), known_facts(settings)
    on_gpu = bool(machine.gpus) and settings.gpu_layers != 0
    speed = None if on_gpu else bandwidth.measure(machine, measurements.kept())
    decode = tuple(bench.decode)
    return Report(
        edgellm=__version__,
        model=model.info.name,
        quantization=model.info.quantization,
        backend=model.info.backend,
        processor=machine.processor + "".join(f", {gpu.name}" for gpu in machine.gpus if on_gpu),
        threads=threads_for(settings, machine),
        bandwidth=speed,
        prefill=tuple(bench.prefill),
        decode=limited(decode, facts, settings.kv_type, speed) if facts and speed else decode,
        step_ms=bench.speculation.step_ms,
        draft_ms=bench.speculation.draft_ms,
        kinds=tuple(bench.kinds),
        url=getattr(rival, "url", ""),
        rival_model=rival.info.name if rival is not None else "",
        rivals=tuple(bench.rivals),
        notes=(*model.info.notes, *_speculation_note(bench)),
    )


def _speculation_note(bench: Bench) -> tuple[str, ...]:
    status = bench.speculation
    reason = f": {status.reason}" if status.reason else ""
    return (f"Guessing ahead is {status.state}{reason}.",)
