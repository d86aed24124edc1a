"""A diagnosis as text for a terminal: a few short sections, wrapped to its width."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from edgellm.cli.diagnosis import Diagnosis, LocalModel, Step, UpstreamFound
from edgellm.download.report import size
from edgellm.fit.verdict import device_room
from edgellm.machine.machine import Gpu, Machine
from edgellm.runtime.installed import Backend

_LABEL = 14
_NARROWEST, _WIDEST = 40, 100
_COLOURS = {"used": "green", "missing": "yellow", "broken": "red"}
_KINDS = {"cuda": "CUDA", "metal": "Metal", "rocm": "ROCm", "vulkan": "Vulkan"}

_ORIGINS = {"ollama": "Ollama", "lm-studio": "LM Studio", "hub": "the hub's cache"}

Style = Callable[..., str]


def text(found: Diagnosis, style: Style | None = None, width: int = 0) -> str:
    """`style` is like `typer.style`, which adds colour; without it there is none. A width of 0 asks the terminal."""
    page = _Page(style or _plain, max(_NARROWEST, min(_WIDEST, width or shutil.get_terminal_size().columns)))
    sections = (
        ("Machine", list(_machine(found, page))),
        ("Backends", list(_backends(found.backends, page))),
        (f"Models here ({_short(found.models_dir)})", list(_models(found.models, page))),
        ("Upstreams", list(_upstreams(found.upstreams, page))),
        ("Next", list(_next(found.next, page))),
    )
    return "\n\n".join("\n".join([page.heading(title), *lines]) for title, lines in sections if lines)


class _Page:
    def __init__(self, style: Style, width: int) -> None:
        self.style = style
        self.width = width

    def heading(self, title: str) -> str:
        return self.style(title, bold=True)

    def line(self, label: str, value: str, colour: str = "") -> str:
        """A label and its value, which goes on below itself where it is too long."""
        indent = " " * (2 + _LABEL)
        body = textwrap.fill(
            value, self.width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        ).removeprefix(indent)
        shown = self.style(body, fg=colour) if colour else body
        return f"  {label.ljust(_LABEL)}{shown}"

    def command(self, text: str) -> str:
        """Never broken: it is there to be copied."""
        return "  " + self.style(text, bold=True)


def _machine(found: Diagnosis, page: _Page) -> Iterator[str]:
    machine = found.machine
    yield page.line("system", f"{machine.system}, {machine.arch}")
    yield page.line("processor", machine.processor)
    yield page.line("cores", _cores(machine))
    yield page.line("threads", f"{found.threads} for a model" + (", half of them to save the battery" * found.saving))
    yield page.line("SIMD", ", ".join(machine.simd) or "unknown")
    yield page.line("memory", f"{size(machine.total_memory)}, {size(machine.available_memory)} of it free")
    if machine.memory_limit is not None:
        left = size(machine.limit_left or 0)
        yield page.line("memory limit", f"{size(machine.memory_limit)} for this process, {left} of it left", "yellow")
    yield page.line("memory speed", f"{size(int(machine.bandwidth))}/s read" if machine.bandwidth else "unknown")
    for gpu in machine.gpus:
        yield page.line("GPU", _gpu(gpu))
    if not machine.gpus:
        yield page.line("GPU", "none found")
    for server in found.servers:
        yield page.line(
            "RPC server", f"{server.name}: {size(server.total)}, {size(device_room(server))} of it for layers"
        )
    if found.servers_problem:
        yield page.line("RPC servers", found.servers_problem, "red")
    yield page.line("power", _power(machine), "yellow" if machine.power and machine.power.on_battery else "")
    if machine.thermal:
        yield page.line("heat", machine.thermal, "yellow")
    yield page.line("disk", f"{size(machine.free_disk)} free for models")


def _cores(machine: Machine) -> str:
    parts = [f"{machine.physical_cores} physical"]
    if machine.performance_cores < machine.physical_cores:
        parts.append(f"{machine.performance_cores} of them fast")
    if machine.logical_cores != machine.physical_cores:
        parts.append(f"{machine.logical_cores} hardware threads")
    if 0 < machine.usable_cores < machine.performance_cores:
        parts.append(f"{machine.usable_cores} for this process")
    return ", ".join(parts)


def _gpu(gpu: Gpu) -> str:
    ways = ", ".join(_KINDS[kind] for kind in (gpu.kind, *gpu.also))
    memory = f"{size(gpu.total)}, {size(gpu.free)} of it free"
    shared = ", shared with the processor" if gpu.unified else ""
    driver = f"; driver {gpu.driver}" if gpu.driver else ""
    return f"{gpu.name} ({ways}): {memory}{shared}{driver}"


def _power(machine: Machine) -> str:
    if machine.power is None:
        return "mains (no battery found)"
    charge = "" if machine.power.percent is None else f", {machine.power.percent:.0f}% charged"
    return ("battery" if machine.power.on_battery else "mains") + charge


def _backends(backends: tuple[Backend, ...], page: _Page) -> Iterator[str]:
    for backend in backends:
        yield page.line(backend.name, f"{backend.state}: {backend.reason}", _COLOURS.get(backend.state, ""))
        if backend.version:
            yield page.line("", f"{backend.package} {backend.version}{_built(backend)}")


def _built(backend: Backend) -> str:
    if (build := backend.build) is None:
        return ""
    rpc = ", with RPC" if build.rpc else ""
    return f", llama.cpp {build.version}, built for {', '.join(build.simd) or 'any processor'}{rpc}"


def _models(models: tuple[LocalModel, ...], page: _Page) -> Iterator[str]:
    if not models:
        yield page.line("none yet", "")
    names = [_cut(model.name, page.width // 2) for model in models]
    widest = max(map(len, names), default=0)
    for name, model in zip(names, models, strict=True):
        origin = "" if model.origin == "edgellm" else f"of {_ORIGINS.get(model.origin, model.origin)}"
        kind = model.quantization or ("" if model.format == "gguf" else model.format.upper())
        parts = "  ".join(filter(None, (_fitting(model, page), kind, origin)))
        yield f"  {name.ljust(widest)}  {size(model.bytes):>8}  {parts}".rstrip()


def _fitting(model: LocalModel, page: _Page) -> str:
    if not model.verdict:
        return ""
    return page.style(f"{model.verdict:<5}", fg={"fits": "green", "tight": "yellow", "no": "red"}[model.verdict])


def _cut(name: str, width: int) -> str:
    """Without its middle where it is too long: the end often tells the quantization."""
    half = (width - 1) // 2
    return name if len(name) <= width else f"{name[:half]}…{name[-half:]}"


def _upstreams(upstreams: tuple[UpstreamFound, ...], page: _Page) -> Iterator[str]:
    for each in upstreams:
        if each.answers:
            program = "" if each.program == "other" else f", {each.program}"
            value = f"answers within {each.ms:.0f} ms{program}: {', '.join(each.models) or 'no model that is offered'}"
        else:
            value = each.problem
        yield page.line(_cut(each.name, _LABEL - 1), value, "green" if each.answers else "red")
        yield page.line("", f"{each.url}{f'; key from {each.key}' if each.key else ''}")


def _next(steps: tuple[Step, ...], page: _Page) -> Iterator[str]:
    for step in steps:
        if len(step.command) + len(step.purpose) + 6 <= page.width:
            yield f"{page.command(step.command)}  # {step.purpose}"
        else:
            yield f"  # {step.purpose}"
            yield page.command(step.command)


def _short(folder: str) -> str:
    """With `~` for the home directory."""
    try:
        return str("~" / Path(folder).relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return folder


def _plain(text: str, **_: object) -> str:
    return text
