"""`edgellm run`: one prompt, one answer, streamed to stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.cli.prompt import Wishes
    from edgellm.model import Model
    from edgellm.request import Input


def run(
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT | -", help="What to ask; - reads it from standard input.")
    ] = None,
    model: options.Model = None,
    system: options.System = None,
    raw: Annotated[
        bool, typer.Option("--raw", metavar="", help="Continue the text as it is, without the chat template.")
    ] = False,
    stats: Annotated[
        bool, typer.Option("--stats", metavar="", help="Print token counts and speeds to stderr.")
    ] = False,
    explain: options.Explain = False,
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
    """Ask a model one thing. Text piped in comes after PROMPT; without either, a chat begins."""
    from dataclasses import replace

    from edgellm import config
    from edgellm.cli import prompt as asked, session

    if raw and system:
        raise typer.BadParameter("--raw uses no template, so there is no place for --system")
    wishes = asked.wishes(max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
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
        explain=explain or None,
    )
    text = asked.gather(prompt, exact=raw)
    if text is None and not raw:
        from edgellm.cli.chat import converse

        return converse(settings, wishes, system, local=local, own=own)
    if not text:
        raise typer.BadParameter("the prompt is empty")
    opened = session.open_model(settings, settings.model, local=local, own=own, explain=explain)
    return _answer(opened, wishes, _input(text, system, raw), stats)


def _input(text: str, system: str | None, raw: bool) -> Input:
    from edgellm import messages
    from edgellm.cli.prompt import utf8
    from edgellm.request import Conversation, Prompt

    if raw:
        return Prompt(text)
    first = (messages.system(utf8(system)),) if system else ()
    return Conversation((*first, messages.user(text)))


def _answer(model: Model, wishes: Wishes, input: Input, stats: bool) -> int:
    import sys

    from edgellm.cli import session, speculation_text
    from edgellm.cli.answer import Answer

    answer = Answer(wishes.hide_thinking)
    with session.Session(model) as opened:
        opened.run(answer.stream(opened.model, wishes.request(input, opened.model.info)))
        guessed = speculation_text.line(opened.run(opened.model.status()).speculation) if stats else ""
    if answer.note and wishes.max_tokens is None:
        print(answer.note, file=sys.stderr)
    if stats:
        print(answer.stats, file=sys.stderr)
        print(guessed, file=sys.stderr)
    return 0
