"""Facts of a model whose header nobody has read: from another quantization of it, or from what the catalog says."""

from __future__ import annotations

from msgspec.structs import replace

from edgellm.catalog.metadata import LayerFacts, ModelFacts
from edgellm.catalog.sources import Format

# Bits a weight of whole files, embedding and all; measured on published files of 7B models (llama.cpp's README).
BITS = {
    "IQ1_S": 1.6, "IQ1_M": 1.75, "IQ2_XXS": 2.1, "IQ2_XS": 2.3, "IQ2_S": 2.5, "IQ2_M": 2.7, "IQ3_XXS": 3.1,
    "IQ3_XS": 3.3, "IQ3_S": 3.4, "IQ3_M": 3.7, "IQ4_XS": 4.3, "IQ4_NL": 4.5, "Q2_K": 3.0, "Q3_K_S": 3.5,
    "Q3_K_M": 3.9, "Q3_K_L": 4.3, "Q4_0": 4.6, "Q4_1": 5.1, "Q4_K_S": 4.6, "Q4_K_M": 4.85, "Q5_0": 5.5, "Q5_1": 6.0,
    "Q5_K_S": 5.5, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.0, "BF16": 16.0, "F32": 32.0, "MXFP4": 4.4,
    "4-bit": 4.5, "8-bit": 8.5, "16-bit": 16.0, "int4": 5.0, "int8": 8.5,
}  # fmt: skip
_USUAL_BITS = 5.0
_MAIN_KIND = {"Q2_K": "Q2_K", "IQ4_NL": "IQ4_NL", "MXFP4": "MXFP4", "Q8_0": "Q8_0", "Q6_K": "Q6_K"}


def bits_of(quantization: str) -> float:
    """Bits a weight of files of this quantization, about."""
    name = quantization.removeprefix("UD-")
    return BITS.get(name) or next((bits for kind, bits in BITS.items() if name.startswith(kind)), _USUAL_BITS)


def scaled(facts: ModelFacts, quantization: str, file_bytes: int) -> ModelFacts:
    """The same model in another quantization, of a file of so many bytes: only its weights differ, alike everywhere."""
    header = max(0, facts.file_bytes - facts.weight_bytes)
    weights = max(1, file_bytes - header)
    factor = weights / max(1, facts.weight_bytes)

    def times(count: int) -> int:
        return round(count * factor)

    layers = tuple(replace(layer, weights=times(layer.weights), experts=times(layer.experts)) for layer in facts.layers)
    return replace(
        facts,
        quantization=quantization,
        layers=layers,
        input_bytes=times(facts.input_bytes),
        output_bytes=times(facts.output_bytes),
        other_bytes=times(facts.other_bytes),
        idle_bytes=times(facts.idle_bytes),
        weight_bytes=weights,
        file_bytes=file_bytes,
        tensor_types=_types(quantization, weights, facts),
    )


def guessed(name: str, parameters: int, context: int, quantization: str, format: Format = "gguf") -> ModelFacts:
    """A dense model of ordinary shape with so many parameters; good for a first look, until its header is read.

    Widths and KV follow the published sizes of Qwen, Llama and Gemma models from 0.5B to 70B, within a third or so.
    """
    billions = max(parameters, 1) / 1.5e9
    embedding = _even(1536 * billions**0.43)
    count = max(8, round(28 * billions**0.27))
    weights = round(parameters * bits_of(quantization) / 8)
    table = min(0.3, 150_000 * embedding / max(parameters, 1))
    half = max(64, round(7168 * billions**0.65 / count))
    layer = LayerFacts(key=half, value=half, weights=round(weights * (1 - table) / count))
    facts = ModelFacts(
        format=format,
        architecture="",
        name=name,
        quantization=quantization,
        parameters=parameters,
        context=context,
        embedding=embedding,
        heads=max(1, embedding // 128),
        feed_forward=4 * embedding,
        vocabulary=150_000,
        layers=(layer,) * count,
        input_bytes=round(weights * table),
        output_bytes=round(weights * table),
        tied=True,
        weight_bytes=weights,
        file_bytes=weights + 6_000_000,
    )
    return replace(facts, tensor_types=_types(quantization, weights, facts))


def _types(quantization: str, weights: int, facts: ModelFacts) -> dict[str, int]:
    """Which kinds of tensors a quantization is made of, about: `Q4_K_M` is four parts Q4_K and one part Q6_K."""
    name = quantization.removeprefix("UD-")
    narrow = bool(facts.embedding % 256)  # the K kinds need rows of 256
    if name.startswith(("Q3_K", "Q4_K", "Q5_K")) and not narrow:
        kind = name[:4]
        mixed = 0.7 if name.endswith(("_M", "_L")) else 0.9
        return {kind: round(weights * mixed), "Q6_K": weights - round(weights * mixed)}
    if name.startswith(("Q4_K", "Q5_K")):
        return {"Q5_0": round(weights * 0.7), "Q8_0": weights - round(weights * 0.7)}
    return {next((kind for start, kind in _MAIN_KIND.items() if name.startswith(start)), name): weights}


def _even(width: float) -> int:
    step = 256 if width > 1000 else 64
    return max(step, round(width / step) * step)
