"""`Plan`: how to load a model on this machine, what that takes, how fast it will be, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from edgellm.catalog.metadata import ModelFacts
from edgellm.config import ModelSettings
from edgellm.fit import graphics, words
from edgellm.fit.backend_choice import ALL, OF_SETTING, BackendChoice, choose
from edgellm.fit.memory import MemoryUse, kv_bytes, memory
from edgellm.fit.placement import Placement, default_context
from edgellm.fit.speed import Known, Speed, predict
from edgellm.fit.verdict import Verdict, verdict
from edgellm.machine.machine import Machine

SHORTEST = 2048
"""Tokens of context below which nobody is served by default."""
_FEWEST_SLOTS = 4
_STEP = 256
_MOST_CONTEXTS, _CONTEXTS_SHARE = 16, 0.125
"""Where each sequence has a whole context of its own: so many at most, in so much of the free memory."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One model, placed. `longest` is the longest context that fits, `draft` the model that may guess ahead."""

    model: str
    quantization: str
    backend: BackendChoice
    placement: Placement
    memory: MemoryUse
    verdict: Verdict
    speed: Speed
    longest: int
    bits: float
    """Bits a weight, on average."""
    limited: bool = False
    """There is a GPU that could be used, but not all of the model fits it."""
    draft: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def context(self) -> int:
        return self.placement.context

    def changes(self, settings: ModelSettings) -> dict[str, Any]:
        """The settings that the plan decides, as far as they differ from `settings`.

        The GPU's share is left as it was unless the plan limits it: the backend knows better what it can use.
        """
        decided: dict[str, Any] = {"context": self.placement.context, "slots": self.placement.slots}
        if self.limited or self.placement.shares:
            decided |= {"gpu_layers": self.placement.gpu_layers, "cpu_experts": self.placement.cpu_experts}
        if self.placement.shares and not settings.layer_split:
            decided["layer_split"] = ",".join(map(str, self.placement.shares))
        return {name: value for name, value in decided.items() if value != getattr(settings, name)}


class Planner:
    """Plans for one machine, with its measurements.

    `offload` is whether llama.cpp can use the GPU, `installed` which backends can be used at all.
    """

    def __init__(
        self,
        machine: Machine,
        settings: ModelSettings,
        known: Known = (),
        *,
        offload: bool = False,
        installed: Collection[str] = ALL,
    ) -> None:
        self.machine, self.settings, self.known = machine, settings, known
        self._installed = installed
        self._offload = offload and bool(machine.gpus)
        self._unified = self._offload and graphics.is_unified(machine)

    def plan(
        self,
        facts: ModelFacts,
        *,
        model: str = "",
        backend: BackendChoice | None = None,
        draft: str = "",
        identity: str = "",
    ) -> Plan:
        """The best placement that fits, or the smallest that does not. `identity` names the file in measurements."""
        placed = self._best(facts)
        use = self.memory(facts, placed)
        found = Plan(
            model=model or facts.name,
            quantization=facts.quantization,
            backend=backend or self._backend(facts),
            placement=placed,
            memory=use,
            verdict=verdict(use, self.machine),
            speed=predict(facts, placed, self.machine, self.known, threads=self.settings.threads, model=identity),
            longest=self.longest(facts, placed),
            bits=8 * facts.weight_bytes / max(1, facts.parameters),
            limited=self._offload and (placed.cpu_experts or placed.gpu_layers <= len(facts.layers)),
            draft=draft,
        )
        return replace(found, reasons=words.reasons(found, facts, self.machine, self.settings))

    def memory(self, facts: ModelFacts, placement: Placement) -> MemoryUse:
        return memory(facts, placement, self.machine.simd, unified=self._unified)

    def fits(self, facts: ModelFacts, placement: Placement) -> bool:
        return verdict(self.memory(facts, placement), self.machine) != "no"

    def longest(self, facts: ModelFacts, placement: Placement) -> int:
        """The longest context, up to the trained one, that could be asked for; 0 if none fits."""
        low, high = 0, max(facts.context, _STEP) // _STEP
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(facts, replace(placement, context=middle * _STEP)):
                low = middle
            else:
                high = middle - 1
        return min(low * _STEP, facts.context or low * _STEP)

    def _backend(self, facts: ModelFacts) -> BackendChoice:
        wanted = OF_SETTING.get(self.settings.backend)
        other = wanted if wanted != facts.format else None
        return choose((facts.format,), self.machine.apple_silicon, other, self._installed)

    def _best(self, facts: ModelFacts) -> Placement:
        """The first candidate that fits, or the last."""
        last: Placement | None = None
        for candidate in self._candidates(facts):
            last = self._on_gpu(facts, candidate)
            if self.fits(facts, last):
                return last
        assert last is not None
        return last

    def _candidates(self, facts: ModelFacts) -> Iterator[Placement]:
        """From what is wanted to what is still of use: fewer sequences where each has a state of its own, then less
        context, unless somebody asked for so much."""
        settings = self.settings
        base = Placement(
            context=settings.context or default_context(facts),
            slots=settings.slots,
            parallel=min(settings.parallel, settings.slots, settings.batch),
            batch=settings.batch,
            kv_type=settings.kv_type if facts.format == "gguf" else "f16",
            flash_attention=settings.flash_attention != "off",
            shared=facts.format != "onnx",
        )
        if not base.shared:
            base = self._of_whole_contexts(facts, base)
        yield base
        while not base.shared and base.slots > 1:
            base = _with_slots(base, base.slots // 2)
            yield base
        if any(layer.state for layer in facts.layers):
            while base.slots > _FEWEST_SLOTS:
                base = _with_slots(base, max(_FEWEST_SLOTS, base.slots // 2))
                yield base
        while not settings.context and base.context > SHORTEST:
            base = replace(base, context=max(SHORTEST, base.context // 2))
            yield base

    def _of_whole_contexts(self, facts: ModelFacts, base: Placement) -> Placement:
        """So many sequences as take no more than their share of the memory, each having a context of its own."""
        base = _with_slots(base, min(base.slots, _MOST_CONTEXTS))
        each = kv_bytes(facts, _with_slots(base, 1), facts.layers)
        while base.slots > 1 and base.slots * each > _CONTEXTS_SHARE * self.machine.usable_memory:
            base = _with_slots(base, base.slots // 2)
        return base

    def _on_gpu(self, facts: ModelFacts, placement: Placement) -> Placement:
        if not self._offload or facts.format == "onnx":
            return placement
        return graphics.place(facts, placement, self.machine, self.known, wanted=self.settings.gpu_layers)


def _with_slots(placement: Placement, slots: int) -> Placement:
    return replace(placement, slots=slots, parallel=min(placement.parallel, slots))


def plan(
    facts: ModelFacts,
    machine: Machine,
    settings: ModelSettings,
    known: Known = (),
    *,
    offload: bool = False,
    model: str = "",
    draft: str = "",
) -> Plan:
    """How to load the model of these facts on `machine`, as `settings` leave open."""
    return Planner(machine, settings, known, offload=offload).plan(facts, model=model, draft=draft)
