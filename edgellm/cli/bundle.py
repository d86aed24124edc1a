"""`edgellm bundle`: carry models and edgellm itself to machines without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgellm.cli import options

if TYPE_CHECKING:
    from edgellm.download.bundle.create import Made
    from edgellm.download.bundle.manifest import Manifest

Models = Annotated[
    str, typer.Option("--models", metavar="NAMES", help="Models to carry, with commas between: names, aliases, paths.")
]
Platform = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where it goes: linux-x86_64, linux-aarch64, macos-arm64, macos-x86_64, windows-x86_64 or windows-arm64; "
        "as this machine if not set.",
        show_default=False,
    ),
]
Python = Annotated[
    str,
    typer.Option(
        metavar="VERSIONS", help="Versions of Python there, as 3.11,3.12; as here if not set.", show_default=False
    ),
]
NoWheels = Annotated[bool, typer.Option("--no-wheels", metavar="", help="Carry models only, no packages.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new directory, or a .tar or .zip file.")]
Bundle = Annotated[Path, typer.Argument(metavar="PATH", help="A bundle: a directory, a .tar or a .zip.")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")]
Wheels = Annotated[
    bool, typer.Option("--wheels", metavar="", help="Bring this installation to the bundle's version of edgellm, too.")
]


def create(
    out: Out,
    models: Models = "default",
    platform: Platform = "",
    python: Python = "",
    no_wheels: NoWheels = False,
    offline: options.Offline = None,
) -> int:
    """Make a bundle of models, edgellm and all that it needs. Compiling llama.cpp takes minutes, the first time."""
    from edgellm import config
    from edgellm.cli.progress import Meter
    from edgellm.cli.steps import StepMeter
    from edgellm.download.bundle.create import Order, create

    order = Order(
        out=out.expanduser().absolute(),
        models=_split(models),
        platform=platform,
        pythons=_split(python),
        wheels=not no_wheels,
        offline=config.load({"offline": offline}).offline,
    )
    with Meter() as meter, StepMeter() as steps:
        made = create(order, meter, steps)
    print(_told(made))
    return 0


def install(path: Bundle, wheels: Wheels = False) -> int:
    """Take models out of a bundle into this installation. Everything is checked before anything is written."""
    from edgellm.cli.progress import Meter
    from edgellm.download.bundle import receive

    with Meter() as meter:
        version = receive.take_packages(path, meter) if wheels else ""
        taken = receive.take_models(path, meter)
    if version:
        print(f"edgellm {version} is installed")
    for model in taken:
        print(f"{model.use} {'was here already' if model.was_here else 'is ready'}: {model.path}")
    if not taken:
        print("the bundle has no models")
    return 0


def verify(path: Bundle, as_json: Json = False) -> int:
    """Check that a bundle is whole and unchanged."""
    from edgellm.cli.progress import Meter
    from edgellm.download.bundle import receive
    from edgellm.errors import DownloadError

    try:
        with Meter() as meter:
            manifest = receive.verify(path, meter)
    except DownloadError as error:
        if not as_json:
            raise
        _print_json({"whole": False, "code": error.code, "problem": str(error)})
        return 1
    if as_json:
        _print_json(_facts(manifest))
    else:
        print("\n".join(_lines(manifest)))
    return 0


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _told(made: Made) -> str:
    """What was made, what it needs on the other side, and the sum that shows it arrived unchanged."""
    lines = [f"{made.path} is ready:", *(f"  {line}" for line in _lines(made.manifest)[1:])]
    lines.append(f"sum of its manifest: {made.sum}")
    if made.manifest.platform:
        unpack = "" if made.path.is_dir() else "unpack it and "
        lines.append(f"On the other machine, {unpack}run in its directory: python3 install.py")
    return "\n".join(lines)


def _lines(manifest: Manifest) -> list[str]:
    from edgellm.download.report import size

    lines = [f"the bundle is whole: {len(manifest.files)} files, {size(manifest.bytes)}"]
    lines += [f"model {model.use}: {model.title}" for model in manifest.models]
    if not manifest.platform:
        return [*lines, "no packages: for an edgellm that is installed already"]
    glibc = f", glibc {manifest.glibc} or later" if manifest.glibc else ""
    lines.append(f"edgellm {manifest.edgellm} for {manifest.platform}, Python {', '.join(manifest.pythons)}{glibc}")
    if manifest.llama.kind == "source":
        return [*lines, f"llama.cpp {manifest.llama.version} as source: it is compiled there, with a compiler there"]
    return [*lines, f"llama.cpp {manifest.llama.version} for {manifest.llama.baseline}"]


def _facts(manifest: Manifest) -> dict[str, Any]:
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(manifest)
    files = facts.pop("files")
    return {"whole": True, **facts, "file_count": len(files), "bytes": manifest.bytes}


def _print_json(value: dict[str, Any]) -> None:
    import json

    json.dump(value, sys.stdout, indent=2)
    print()
