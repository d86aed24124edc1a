"""`edgellm serve`: a model as an HTTP server that speaks OpenAI's dialect."""

from __future__ import annotations

from edgellm.cli import options


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
    offline: options.Offline = None,
    log_level: options.LogLevel = None,
) -> int:
    """Serve a model over HTTP until Ctrl-C."""
    from edgellm import config
    from edgellm.catalog.catalog import looks_like_path
    from edgellm.cli import session
    from edgellm.server import serve as server

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
            "offline": offline,
            "log_level": log_level,
        }
    )
    opened = session.open_model(settings, settings.model)
    # A path is nobody's name for a model, and would tell clients where files lie.
    typed = () if looks_like_path(settings.model) else (settings.model,)
    return server.run(opened, settings.host, settings.port, aliases=("default", *typed))
