"""`edgellm show`: what a model's files tell of it, without loading it and without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgellm.runtime.locate import Located
    from edgellm.runtime.shown import Shown


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name from `edgellm models`, or a path.")],
    template: Annotated[
        bool, typer.Option("--template", metavar="", help="Print the chat template alone.", show_default=False)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")] = False,
) -> int:
    """Show what a model on this machine is: its size and shape, what it can do, how it is best sampled."""
    from edgellm.runtime.shown import shown

    found = shown(_located(model))
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(found, enc_hook=str))).decode())
    elif template:
        print(found.template)
    else:
        print(_text(found))
    return 0


def _located(name: str) -> Located:
    """By path, or by any name that the server would take. Raises ModelNotFound."""
    import asyncio

    from edgellm import config
    from edgellm.catalog import catalog
    from edgellm.catalog.catalog import looks_like_path
    from edgellm.runtime import upstreams
    from edgellm.runtime.locate import locate
    from edgellm.runtime.offers import Offers

    settings = config.load({"offline": True})
    if (elsewhere := upstreams.meant(name, settings)) is not None:
        catalog.current().target(elsewhere)  # raises, and says why
    if looks_like_path(name):
        return locate(name, settings)
    return asyncio.run(Offers(settings).named(name)).located


def _text(found: Shown) -> str:
    rows = [(name, value) for name, value in _rows(found) if value]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def _rows(found: Shown) -> list[tuple[str, str]]:
    from edgellm.download.report import size

    return [
        ("Name", found.name),
        ("File", str(found.path)),
        ("Size", size(found.size)),
        ("Format", found.format.upper()),
        ("Architecture", found.architecture),
        ("Parameters", _count(found.parameters)),
        ("Quantization", found.quantization),
        ("Context", f"{found.context} tokens" if found.context else ""),
        ("Shape", f"{found.layers} layers, {found.heads} heads, {found.embedding} wide" if found.layers else ""),
        ("Vocabulary", f"{found.vocabulary} tokens" if found.vocabulary else ""),
        ("Can do", ", ".join(found.capabilities)),
        ("Sampling", _sampling(found)),
        ("License", found.license),
        ("Template", f"{len(found.template)} characters; --template prints it" if found.template else "none"),
    ]


def _count(parameters: int) -> str:
    if not parameters:
        return ""
    return f"{parameters / 1e9:.2f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"


def _sampling(found: Shown) -> str:
    params = found.sampling
    said = f"temperature {params.temperature:g}, top-k {params.top_k}, top-p {params.top_p:g}, min-p {params.min_p:g}"
    return f"{said}, repetition penalty {params.repetition_penalty:g}" if params.repetition_penalty != 1 else said
