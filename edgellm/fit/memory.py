"""How much memory a model takes once it is loaded and at work, by what takes it.

Sizes are counted as llama.cpp counts them: llama-kv-cache.cpp (cells padded to 256, every cell written at the start,
sliding windows kept in full because our backend sets `swa_full`), llama-memory-recurrent.cpp (float32 states for every
slot), llama-context.cpp (`output_reserve`: a row of logits for every slot), ggml-cpu/repack.cpp (which weights are
copied into another layout while the mapped file stays), and, for the compute buffer, the largest set of tensors alive
at one time in llama-graph.cpp. docs/fit.md compares all this with what was measured. MLX and ONNX Runtime keep KV in
the type that the model computes in; ONNX Runtime gives every sequence a whole context of its own (`shared` is false).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edgellm.catalog.metadata import LayerFacts, ModelFacts
from edgellm.fit.placement import Placement

MIB = 2**20
HOST_BYTES = 76 * MIB
"""A worker and a command, before any model: two Python processes with what they import (measured, Linux)."""
TABLES_PER_HEADER_BYTE = 8
"""A vocabulary in use takes about eight times what it takes in the file: strings, their index, merges (measured)."""
_TABLES_PER_TOKEN = 200
_LIBRARY = {"mlx": 48 * MIB}
"""What importing it takes (measured, Linux)."""
_PACKED = "U8"
"""The type of quantized weights in ONNX graphs."""

_KV_BLOCKS = {"f16": (1, 2), "q8_0": (32, 34)}
_FLOAT, _HALF = 4, 2

# Weights that ggml-cpu/repack.cpp copies, by what the processor has, and the bits that one of theirs takes.
_REPACKED = {
    "AVX2": ("Q4_0", "Q4_K", "IQ4_NL", "MXFP4"),
    "AVX-512": ("Q2_K",),
    "dotprod": ("Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"),
    "AMX INT8": ("Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"),
}
_BITS = {
    "Q2_K": 2.625,
    "Q4_0": 4.5,
    "Q4_1": 5.0,
    "Q4_K": 4.5,
    "Q5_K": 5.5,
    "Q6_K": 6.5625,
    "Q8_0": 8.5,
    "IQ4_NL": 4.5,
    "IQ4_XS": 4.25,
    "MXFP4": 4.25,
    "Q5_0": 5.5,
    "F32": 32.0,
}


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. All but `gpu` is the computer's own memory; on a unified machine that is where the GPU's lies too."""

    weights: int
    """Mapped from the file; the whole of it is read in at the start."""
    repacked: int
    """Copies of weights in the layout that the processor computes with; the originals are not needed again."""
    kv: int
    state: int
    """Recurrent states."""
    compute: int
    """Buffers for activations and logits."""
    host: int
    """Our processes and the vocabulary."""
    gpu: int = 0
    """What lies in the GPU's own memory, and in that of other computers."""
    remote: int = 0
    """Of that, what lies in other computers' memory."""

    @property
    def total(self) -> int:
        """What is seen to be in use at the peak."""
        return self.weights + self.repacked + self.kv + self.state + self.compute + self.host

    @property
    def needed(self) -> int:
        """What must be there: the originals of repacked weights may be dropped by the system at any time."""
        return self.total - min(self.repacked, self.weights)


def memory(facts: ModelFacts, placement: Placement, simd: Collection[str] = (), *, unified: bool = False) -> MemoryUse:
    """What the model takes, placed so, on a processor with these `simd` instructions; a GPU may be `unified`."""
    on_gpu, away = placement.on_gpu(facts), placement.away(facts)
    compute = compute_bytes(facts, placement, placement.parallel)
    output = facts.output_bytes if placement.gpu_layers else 0
    gpu_weights = _weights(placement, on_gpu) + output
    gpu = gpu_weights + _cells(facts, placement, on_gpu) + compute * _used(placement.shares, placement.gpu_layers)
    remote_weights = _weights(placement, away) + (output if placement.output_away else 0)
    servers = _used(placement.shares[: placement.servers], 0)
    # What a unified GPU has is in the computer's memory all the same.
    gone = remote_weights if unified else gpu_weights
    # A tied output elsewhere is a second copy of the embedding, which is always looked up by the processor.
    twice = output if facts.tied and (placement.output_away or not unified) else 0
    weights = facts.weight_bytes + twice - gone
    share = 1 - gpu_weights / max(1, streamed_bytes(facts))
    first = len(facts.layers) - len(on_gpu)
    cpu_layers = (*facts.layers[:first], *facts.layers[first + len(away if unified else on_gpu) :])
    return MemoryUse(
        weights=weights,
        repacked=round(repacked_bytes(facts, simd) * max(0.0, share)),
        kv=kv_bytes(facts, placement, cpu_layers),
        state=state_bytes(placement, cpu_layers),
        compute=compute + placement.slots * facts.vocabulary * _FLOAT,
        host=HOST_BYTES + _tables(facts) + _LIBRARY.get(facts.format, 0),
        gpu=gpu,
        remote=remote_weights + _cells(facts, placement, away) + compute * servers,
    )


def kv_bytes(facts: ModelFacts, placement: Placement, layers: Collection[LayerFacts]) -> int:
    """The KV cache of `layers`. Only llama.cpp, as we set it up, keeps more of a layer than its sliding window."""
    block, size = _KV_BLOCKS[placement.kv_type] if facts.format == "gguf" else (1, _own_width(facts))
    total = 0
    for layer in layers:
        short = layer.window and facts.format == "mlx"
        cells = min(placement.cells, layer.window + placement.tokens) if short else placement.cells
        total += cells * size * (-(-layer.key // block) - (-layer.value // block))
    return total * placement.contexts


def _own_width(facts: ModelFacts) -> int:
    """Bytes of a number as the model itself computes: as its plain weights are, those that no quantization packs."""
    return _FLOAT if facts.tensor_types.get("F32", 0) > _halves(facts) else _HALF


def _halves(facts: ModelFacts) -> int:
    return facts.tensor_types.get("F16", 0) + facts.tensor_types.get("BF16", 0)


def state_bytes(placement: Placement, layers: Collection[LayerFacts]) -> int:
    """Recurrent states: every slot has its own, whether it is in use or not."""
    return placement.slots * _FLOAT * sum(layer.state for layer in layers)


def compute_bytes(facts: ModelFacts, placement: Placement, rows: int) -> int:
    """What is alive at once while a full batch passes through the widest layer, or while `rows` rows get their logits.

    In a layer: the attention mask, three tensors as wide as the feed-forward, and four as wide as the embedding.
    """
    tokens, cells = placement.tokens, placement.cells
    kinds = len({bool(layer.window) for layer in facts.layers if layer.key}) or 1
    mask = kinds * cells * tokens * (2 if placement.flash_attention else _FLOAT)
    scores = 0 if placement.flash_attention else facts.heads * cells * tokens * _FLOAT
    wide = max(_expert_width(facts), 0 if facts.experts else facts.feed_forward)
    layer = mask + scores + tokens * _FLOAT * (3 * wide + 4 * facts.embedding)
    rows = 2 * tokens if facts.format == "onnx" else rows  # its graphs give a row for every token, and keep it twice
    logits = _FLOAT * (rows * (facts.vocabulary + facts.embedding) + 2 * tokens * facts.embedding)
    return max(layer, logits)


def repacked_bytes(facts: ModelFacts, simd: Collection[str]) -> int:
    """Weights that the processor's own layout doubles; the embedding of the input is looked up, so it is never one."""
    if facts.format != "gguf":
        return facts.tensor_types.get(_PACKED, 0) if facts.format == "onnx" else 0
    kinds = {kind for has, names in _REPACKED.items() if has in simd for kind in names}
    total = sum(size for kind, size in facts.tensor_types.items() if kind in kinds)
    looked_up = {} if facts.tied else input_among(facts, kinds)
    return max(0, total - sum(looked_up.values()))


def streamed_bytes(facts: ModelFacts) -> int:
    """Weights that are multiplied by: all but an embedding that is only looked up."""
    return sum(layer.weights for layer in facts.layers) + facts.output_bytes


def input_among(facts: ModelFacts, kinds: Collection[str]) -> dict[str, int]:
    """The embedding's bytes by its kind, which its size tells, if that is one of `kinds`; else nothing."""
    elements = facts.vocabulary * facts.embedding
    if not elements:
        return {}
    bits = 8 * facts.input_bytes / elements
    alike = (kind for kind in kinds if facts.tensor_types.get(kind, 0) >= facts.input_bytes)
    return next(({kind: facts.input_bytes} for kind in alike if abs(bits / _BITS.get(kind, 16) - 1) < 0.01), {})


def _expert_width(facts: ModelFacts) -> int:
    """Numbers that the experts at work compute for one token; their width is told by their bytes."""
    if not facts.experts or not facts.embedding or not facts.parameters:
        return 0
    most = max((layer.experts for layer in facts.layers), default=0)
    elements = most * facts.parameters / max(1, facts.weight_bytes)
    return round(facts.experts_used * elements / (3 * facts.embedding * facts.experts))


def _weights(placement: Placement, layers: Collection[LayerFacts]) -> int:
    """Of `layers` on a device."""
    return sum(layer.weights - placement.cpu_experts * layer.experts for layer in layers)


def _cells(facts: ModelFacts, placement: Placement, layers: Collection[LayerFacts]) -> int:
    return kv_bytes(facts, placement, layers) + state_bytes(placement, layers)


def _used(shares: Collection[int], layers: int) -> int:
    """How many devices compute; one, where nobody said how `layers` are shared."""
    return sum(share > 0 for share in shares) or (layers > 0)


def _tables(facts: ModelFacts) -> int:
    header = facts.file_bytes - facts.weight_bytes
    return TABLES_PER_HEADER_BYTE * header if header > 0 else _TABLES_PER_TOKEN * facts.vocabulary
