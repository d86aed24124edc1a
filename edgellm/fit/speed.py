"""How fast a model will run: bytes read for each token over bytes read a second, as seen before on this machine.

One token streams every weight that is multiplied by (of the experts, those at work), reads the KV of its context, and
costs a little for each layer whatever its size. Kinds of weights differ in how fast a processor gets through them, so
bytes are weighted by kind. What was measured here, of any model, gives the rate; before that, memory's bandwidth does.
"""

from __future__ import annotations

from collections.abc import Collection
from math import exp, log
from typing import Literal

import msgspec

from edgellm.catalog.metadata import LayerFacts, ModelFacts
from edgellm.catalog.sources import Format
from edgellm.fit.memory import input_among
from edgellm.fit.placement import Placement
from edgellm.machine.machine import Gpu, Machine
from edgellm.machine.measurements import DecodeSpeed, Key

KIND = "decode"
ON_GPU = " gpu"
"""Ends the `build` of a measurement taken with layers on a GPU."""
WITH_SERVERS = " rpc"
"""The same, where any were on RPC servers."""
TYPICAL_CONTEXT = 1024
"""Tokens of context that a speed is told for, unless somebody asks for another."""

Known = Collection[tuple[Key, DecodeSpeed]]
Basis = Literal["measured", "corrected", "estimated"]

# Time that a byte of each kind takes a processor, against a byte of Q8_0: measured with llama.cpp on two cores of an
# EPYC (AVX-512) for Q4_1, Q5_0, the K kinds and Q8_0 (docs/fit.md); the others lie between their neighbours. Kinds that
# are repacked are far ahead of those that are not.
_COSTS = {
    "Q4_0": 0.65,
    "Q4_1": 1.48,
    "Q5_0": 1.37,
    "Q5_1": 1.37,
    "Q2_K": 0.9,
    "Q3_K": 1.0,
    "Q4_K": 0.62,
    "Q5_K": 0.8,
    "Q6_K": 0.75,
    "IQ4_NL": 0.65,
    "MXFP4": 0.8,
}
_LOOKED_UP = 1.6
"""Of the IQ kinds, which go through tables."""
_KV_COST = {"f16": 1.43, "q8_0": 4.5}
_LAYER_BYTES = 670_000
"""What starting and ending the steps of one layer costs."""
_OF_BANDWIDTH = 0.8
"""The part of the measured bandwidth that decoding reaches, before anything else is known."""
_CORE_RATE = 11e9
"""Bytes of Q8_0 that one core gets through in a second, where memory is fast enough (the same EPYC)."""
_CORE_COMPUTE = 80e9
_GPU_BANDWIDTH = {"cuda": 300e9, "rocm": 300e9, "vulkan": 150e9, "metal": 100e9, "rpc": 30e9}
_GPU_COMPUTE = 8e12
_BUILDS: dict[Format, str] = {"mlx": "mlx ", "onnx": "onnxruntime"}
_MLX_ON_PROCESSORS = 20.0
"""As many times slower than llama.cpp (SmolLM2 in float32 on the same EPYC)."""


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a second, decoding one sequence and reading a prompt.

    `basis`: this very model was measured here; or another was, and corrects the estimate; or nothing was.
    """

    decode: float
    prefill: float
    basis: Basis


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What one decoded token costs, in bytes of Q8_0 weights that take as long; and the weights it multiplies by."""

    cpu: float
    gpu: float
    active: float

    @property
    def all(self) -> float:
        return self.cpu + self.gpu


def work(facts: ModelFacts, placement: Placement, context: int = TYPICAL_CONTEXT) -> Work:
    """The cost of a token with `context` tokens before it."""
    cost = _cost(facts)  # a GPU waits for its memory alone, whatever the kind
    cpu = sum(_layer_cost(facts, layer, placement, context, cost) for layer in placement.on_cpu(facts))
    gpu = sum(_layer_cost(facts, layer, placement, context, 1.0) for layer in placement.on_gpu(facts))
    if placement.cpu_experts:
        experts = sum(_active_experts(facts, layer) for layer in placement.on_gpu(facts))
        cpu, gpu = cpu + cost * experts, gpu - experts
    on_gpu = placement.gpu_layers > 0
    output = (1.0 if on_gpu else cost) * facts.output_bytes
    bits = facts.weight_bytes / max(1, facts.parameters)
    active = sum(layer.weights - layer.experts + _active_experts(facts, layer) for layer in facts.layers)
    return Work(
        cpu=cpu + (0 if on_gpu else output), gpu=gpu + (output if on_gpu else 0), active=active / max(bits, 1e-9)
    )


def predict(
    facts: ModelFacts,
    placement: Placement,
    machine: Machine,
    known: Known = (),
    *,
    context: int = TYPICAL_CONTEXT,
    threads: int = 0,
    model: str = "",
) -> Speed:
    """The speed with `context` tokens in the KV; `model` is the identity under which it may have been measured."""
    cost = work(facts, placement, context)
    threads = threads or machine.threads
    like = _Like(machine, known, threads, facts.format, on_gpu=bool(cost.gpu))
    seconds, basis = like.seconds(cost, model)
    return Speed(decode=1 / seconds, prefill=like.prefill(cost, model), basis=basis)


class _Like:
    """What is known of this machine with so many threads and the backend of a format, or the best guess."""

    def __init__(self, machine: Machine, known: Known, threads: int, format: Format, *, on_gpu: bool) -> None:
        self._machine, self._threads, self._on_gpu = machine, threads, on_gpu
        self._slow = format == "mlx" and not machine.apple_silicon
        with_servers = any(gpu.kind == "rpc" for gpu in machine.gpus)
        ending = WITH_SERVERS if with_servers else ON_GPU if on_gpu else ""
        here = [
            (key, value)
            for key, value in known
            if key.machine == machine.id
            and _ending(key.build) == ending
            and _format(key.build) == format
            and value.ms_per_token > 0
        ]
        same = [pair for pair in here if pair[0].threads == threads]
        self._known = same or here

    def seconds(self, cost: Work, model: str) -> tuple[float, Basis]:
        own = [value for key, value in self._known if model and key.model == model]
        near = sorted(own or (value for _, value in self._known), key=lambda value: _apart(value, cost))[:2]
        if not near:
            return self._guessed(cost), "estimated"
        # Seconds for a byte; what is twice as far away counts half.
        weights = [1 / (0.05 + _apart(value, cost)) for value in near]
        rates = [log(value.ms_per_token / 1000 / value.bytes_per_token) for value in near]
        rate = exp(sum(w * r for w, r in zip(weights, rates, strict=True)) / sum(weights))
        return cost.all * rate, "measured" if own else "corrected"

    def prefill(self, cost: Work, model: str) -> float:
        """Tokens a second; computing is what limits it, so it goes by parameters at work."""
        seen = [(key, value) for key, value in self._known if value.prefill_tokens_per_s and value.active_parameters]
        own = [value for key, value in seen if model and key.model == model]
        rates = [value.prefill_tokens_per_s * value.active_parameters for value in own or (v for _, v in seen)]
        if rates:
            return exp(sum(map(log, rates)) / len(rates)) / max(1.0, cost.active)
        per_s = _GPU_COMPUTE if self._on_gpu and cost.gpu > cost.cpu else _CORE_COMPUTE * self._threads
        return per_s / (2 * max(1.0, cost.active))

    def _guessed(self, cost: Work) -> float:
        processor = _CORE_RATE * self._threads
        if self._machine.bandwidth:
            processor = min(processor, _OF_BANDWIDTH * self._machine.bandwidth)
        graphics = max((_gpu_rate(gpu, self._machine) for gpu in self._machine.gpus), default=processor)
        return max(cost.cpu / processor + cost.gpu / graphics, 1e-6) * (_MLX_ON_PROCESSORS if self._slow else 1.0)


def _format(build: str) -> Format:
    """What the backend of a measurement reads, by how its build begins."""
    return next((format for format, beginning in _BUILDS.items() if build.startswith(beginning)), "gguf")


def _ending(build: str) -> str:
    return next((ending for ending in (ON_GPU, WITH_SERVERS) if build.endswith(ending)), "")


def _gpu_rate(gpu: Gpu, machine: Machine) -> float:
    """Bytes a second; a GPU that shares the computer's memory reads it at least as fast as the processor does."""
    usual = _GPU_BANDWIDTH[gpu.kind]
    return max(usual, machine.bandwidth or 0.0) if gpu.unified else usual


def _apart(value: DecodeSpeed, cost: Work) -> float:
    return abs(log(max(1.0, value.bytes_per_token) / max(1.0, cost.all)))


def _layer_cost(facts: ModelFacts, layer: LayerFacts, placement: Placement, context: int, cost: float) -> float:
    weights = layer.weights - layer.experts + _active_experts(facts, layer)
    seen = min(context, layer.window) if layer.window else context
    bits = {"f16": 2.0, "q8_0": 34 / 32}[placement.kv_type]
    # A group of heads goes over its keys and values once for each head: from memory first, from nearer by then.
    heads = max(1.0, facts.embedding / layer.key) if layer.key else 1.0
    kv = seen * (layer.key + (layer.value or layer.key)) * bits * _KV_COST[placement.kv_type] * float(heads**0.7)
    return cost * weights + kv + 8 * layer.state + _LAYER_BYTES


def _active_experts(facts: ModelFacts, layer: LayerFacts) -> float:
    return layer.experts * facts.experts_used / facts.experts if facts.experts else 0.0


def _cost(facts: ModelFacts) -> float:
    """The mean over the weights that are multiplied by."""
    looked_up = {} if facts.tied else input_among(facts, facts.tensor_types)
    sizes = {kind: size - looked_up.get(kind, 0) for kind, size in facts.tensor_types.items()}
    total = sum(sizes.values())
    return (
        sum(size * _COSTS.get(kind, _LOOKED_UP if kind.startswith("IQ") else 1.0) for kind, size in sizes.items())
        / total
        if total > 0
        else 1.0
    )
