"""What `edgellm doctor` finds: this machine, backends, models here, and the commands that make sense next."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from edgellm.machine.machine import Gpu, Machine
from edgellm.runtime.installed import Backend

_QUESTION = '"Why is the sky blue?"'


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine, edgellm's own or one that another program keeps (`origin`).

    `verdict` is whether it fits the memory that is free: fits, tight or no; empty where nobody can tell.
    """

    name: str
    bytes: int
    path: str
    origin: str = "edgellm"
    format: str = "gguf"
    quantization: str = ""
    verdict: str = ""

    @property
    def argument(self) -> str:
        """What may follow -m."""
        return self.name if self.origin == "edgellm" else shlex.quote(self.path)


class UpstreamFound(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream of models.toml: `key` is where its key comes from, `problem` why it does not answer."""

    name: str
    url: str
    answers: bool
    problem: str
    program: str
    models: tuple[str, ...]
    ms: float
    key: str


class Step(msgspec.Struct, frozen=True):
    """A command to run, and what for."""

    command: str
    purpose: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `default` is the model that edgellm takes when none is named, empty if there is none."""

    machine: Machine
    threads: int
    """That a model gets now."""
    saving: bool
    """Whether there are fewer of them because the machine runs on its battery."""
    backends: tuple[Backend, ...]
    models: tuple[LocalModel, ...]
    models_dir: str
    default: str
    servers: tuple[Gpu, ...] = ()
    """What the RPC servers of the settings lend."""
    servers_problem: str = ""
    upstreams: tuple[UpstreamFound, ...] = ()

    @property
    def works(self) -> bool:
        """Whether there is a backend at all."""
        return any(backend.state == "used" for backend in self.backends)

    @property
    def next(self) -> tuple[Step, ...]:
        """What to run, the most useful first."""
        repairs = tuple(Step(each.advice, _purpose(each)) for each in self.backends if each.advice)
        if not self.works:
            return repairs
        return (*self._first(), *self._upstream(), *repairs)

    def _first(self) -> tuple[Step, ...]:
        if any(model.name == self.default and model.origin == "edgellm" for model in self.models):
            return Step("edgellm chat", f"talk to {self.default}"), Step("edgellm serve", "let programs use it")
        fetch = (Step(f"edgellm run {_QUESTION}", f"fetches the model {self.default} first"),) if self.default else ()
        usable = [model for model in self.models if self._runs(model) and model.verdict != "no"]
        model = next(iter(usable), None)
        if model is None:
            return fetch
        return Step(f"edgellm chat -m {model.argument}", f"talk to {model.name}"), *fetch

    def _runs(self, model: LocalModel) -> bool:
        """Of what is not GGUF a verdict tells that it is no model of embeddings."""
        if model.format == "gguf":
            return True
        used = {backend.name for backend in self.backends if backend.state == "used"}
        return bool(model.verdict) and {"mlx": "MLX", "onnx": "ONNX Runtime"}.get(model.format) in used

    def _upstream(self) -> tuple[Step, ...]:
        """To talk with the first model of those that are elsewhere."""
        for each in self.upstreams:
            if each.answers and each.models:
                name = f"{each.name}/{each.models[0]}"
                return (Step(f"edgellm chat -m {shlex.quote(name)}", f"talk to a model of the upstream {each.name}"),)
        return ()

    def as_json(self) -> dict[str, Any]:
        """For programs: the same, with what is computed spelled out. Bytes, and bytes a second."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        found["machine"] |= {"id": self.machine.id, "usable_memory": self.machine.usable_memory}
        return found | {"works": self.works, "next": msgspec.to_builtins(self.next)}


def _purpose(backend: Backend) -> str:
    return {
        "used": f"build {backend.name} anew for this machine",
        "broken": f"mend {backend.name}",
    }.get(backend.state, f"install {backend.name}")
