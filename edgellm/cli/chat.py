"""`edgellm chat`: the chat app; in lines through a pipe, on a plain terminal, or where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.cli.prompt import Wishes
    from edgellm.config import Settings


def chat(
    model: options.Model = None,
    system: options.System = None,
    plain: Annotated[bool, typer.Option("--plain", metavar="", help="Line by line; works through a pipe too.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", metavar="", help="Go on with the conversation last written in (not in lines).")
    ] = False,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    seed: options.Seed = None,
    think: options.Think = None,
    hide_thinking: options.HideThinking = False,
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
    local: options.Local = False,
    log_level: options.LogLevel = None,
) -> int:
    """Talk with a model; it remembers what was said. /help lists what can be typed besides."""
    from dataclasses import replace

    from edgellm import config
    from edgellm.cli import full_screen, prompt, session

    wishes = prompt.wishes(max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    wishes = replace(wishes, think=think, hide_thinking=hide_thinking)
    settings = config.load(
        {
            "model": model,
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
            "log_level": log_level,
        }
    )
    own = options.given(
        draft=draft,
        context=context,
        threads=threads,
        gpu_layers=gpu_layers,
        kv_type=kv_type,
        flash_attention=flash_attention,
        backend=backend,
        rpc=rpc,
    )
    if not plain and full_screen.possible():
        if model is not None and own:
            session.refuse_upstream(settings, own)
        said = prompt.utf8(system or "")
        return full_screen.run(settings, wishes, said, resume=resume, any_model=model is None, local=local, own=own)
    if resume:
        raise typer.BadParameter("--resume needs a terminal, without --plain: lines are not kept")
    return converse(settings, wishes, system, local=local, own=own)


def converse(
    settings: Settings, wishes: Wishes, system: str | None, *, local: bool = False, own: Sequence[str] = ()
) -> int:
    """Chat until the person leaves; `local` and `own` as for `session.open_model`. Returns the exit code."""
    from edgellm.cli import session
    from edgellm.cli.line_chat import LineChat
    from edgellm.cli.lines import LineReader
    from edgellm.cli.prompt import utf8

    with session.Session(session.open_model(settings, settings.model, local=local, own=own)) as opened:
        return LineChat(opened, LineReader(), wishes, utf8(system or "")).run()
