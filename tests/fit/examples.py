"""Machines and models for the tests of fit, made of round numbers."""

from typing import Any

from edgellm.catalog.metadata import LayerFacts, ModelFacts
from edgellm.machine.machine import Gpu, Machine

GB = 10**9


def machine(memory: float = 32, *, vram: float = 0, **changes: Any) -> Machine:
    """A PC with so many GB of memory free; `vram` gives it a GPU with so many."""
    gpus = (Gpu(name="card", kind="cuda", total=int(vram * GB), free=int(vram * GB)),) if vram else ()
    values: dict[str, Any] = {
        "system": "Linux",
        "arch": "x86_64",
        "processor": "a processor",
        "total_memory": int(memory * GB) + 2 * GB,
        "available_memory": int(memory * GB),
        "physical_cores": 8,
        "performance_cores": 8,
        "logical_cores": 16,
        "simd": ("AVX", "AVX2", "FMA"),
        "gpus": gpus,
        "bandwidth": 50e9,
    }
    return Machine(**{**values, **changes})


def model(parameters: float = 7e9, bits: float = 5.0, **changes: Any) -> ModelFacts:
    """A dense model of 32 layers, 4096 wide, with eight heads of KV, in Q6_K, which no AVX2 processor repacks."""
    weights = int(parameters * bits / 8)
    table = weights // 16
    layer = LayerFacts(key=1024, value=1024, weights=(weights - 2 * table) // 32)
    values: dict[str, Any] = {
        "format": "gguf",
        "architecture": "llama",
        "name": "example",
        "quantization": "Q6_K",
        "parameters": int(parameters),
        "context": 131_072,
        "embedding": 4096,
        "heads": 32,
        "feed_forward": 14_336,
        "vocabulary": 128_000,
        "layers": (layer,) * 32,
        "input_bytes": table,
        "output_bytes": table,
        "weight_bytes": weights,
        "file_bytes": weights + 8_000_000,
        "tensor_types": {"Q6_K": weights},
    }
    return ModelFacts(**{**values, **changes})


def mixture(experts: int = 64, used: int = 4) -> ModelFacts:
    """A mixture of experts of 30 billion parameters: nine tenths of each layer are routed experts."""
    plain = model(30e9)
    layer = plain.layers[0]
    layers = (LayerFacts(key=1024, value=1024, weights=layer.weights, experts=layer.weights * 9 // 10),) * 32
    return model(30e9, layers=layers, experts=experts, experts_used=used)
