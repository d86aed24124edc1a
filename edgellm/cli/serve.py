"""`edgellm serve`: the models of this machine as an HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.config import Settings
    from edgellm.server.pooled_models import PooledModels


def serve(
    model: options.Model = None,
    host: options.Host = None,
    port: options.Port = None,
    parallel: options.Parallel = None,
    slots: options.Slots = None,
    batch: options.Batch = None,
    queue: options.Queue = None,
    prefix_cache: options.PrefixCache = None,
    draft: options.Draft = None,
    no_speculation: options.NoSpeculation = False,
    context: options.Context = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.KvType = None,
    flash_attention: options.FlashAttention = None,
    backend: options.Backend = None,
    rpc: options.Rpc = None,
    offline: options.Offline = None,
    explain: options.Explain = False,
    no_auth: options.NoAuth = False,
    plain: options.Plain = False,
    log_level: options.LogLevel = None,
    log_file: options.LogFile = None,
) -> int:
    """Serve the models on this machine over HTTP until Ctrl-C: each is loaded when somebody asks for it.

    A model named with -m is fetched if need be, loaded at once, and stays in memory.
    """
    from edgellm import config
    from edgellm.cli import live_table, session
    from edgellm.runtime import upstreams
    from edgellm.server import serve as server
    from edgellm.server.pooled_models import PooledModels
    from edgellm.server.upstream_models import UpstreamModels
    from edgellm.telemetry import log

    settings = config.load(
        {
            "model": model,
            "host": host,
            "port": port,
            "parallel": parallel,
            "slots": slots,
            "batch": batch,
            "queue": queue,
            "prefix_cache": prefix_cache,
            "draft": draft,
            "speculation": "off" if no_speculation else None,
            "context": context,
            "threads": threads,
            "gpu_layers": gpu_layers,
            "kv_type": kv_type,
            "flash_attention": flash_attention,
            "backend": backend,
            "rpc": rpc,
            "offline": offline,
            "auth": "off" if no_auth else None,
            "log_level": log_level,
            "log_file": log_file,
        }
    )
    log.configure(settings.log_level, settings.log_file)
    view = server.announced if plain or not live_table.possible() else live_table.shown
    if model is None and settings.model == "default":
        if explain:
            raise typer.BadParameter("--explain explains one model: name it with -m")
        return server.run(UpstreamModels(PooledModels(settings), settings), settings, view, preload=False)
    if (elsewhere := upstreams.meant(settings.model, settings)) is not None:
        if explain:
            session.refuse(elsewhere, ["--explain"])
        return server.run(UpstreamModels(PooledModels(settings), settings), settings, view)
    return server.run(UpstreamModels(_with_first(settings, explain), settings, first=True), settings, view)


def _with_first(settings: Settings, explain: bool) -> PooledModels:
    """All models here, the one that the settings name before them; it is fetched if it is not here."""
    from edgellm.catalog.catalog import looks_like_path
    from edgellm.cli.session import found, tell
    from edgellm.machine.machine import detect
    from edgellm.runtime.assemble import open_located
    from edgellm.server.pooled_models import PooledModels

    # A path is nobody's name for a model, and would tell clients where files lie.
    typed = () if looks_like_path(settings.model) else (settings.model,)
    first = found(settings, settings.model)
    if explain:
        tell(open_located(first, settings, detect()).explanation)  # opening is not loading yet
    return PooledModels(settings, first, ("default", *typed))
