"""What a model is, counted from its files alone: `ModelFacts` and its `LayerFacts`, whatever the format."""

from __future__ import annotations

from typing import Literal

import msgspec


class LayerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One layer. KV and state count elements, because their type is chosen at run time; weights count bytes."""

    key: int = 0  # K elements a token (KV heads x key size); 0: the layer has no KV of its own
    value: int = 0  # V elements a token; 0 with key > 0: the values are read from the keys (MLA)
    window: int = 0  # sliding window in tokens; 0: whole context
    state: int = 0  # recurrent state, float32 elements a sequence
    weights: int = 0  # bytes of this layer's tensors, experts included
    experts: int = 0  # bytes of them that are routed experts


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model. Sizes are bytes, `context` is the trained one in tokens, and 0 or "" means that the file is silent."""

    format: Literal["gguf", "mlx", "onnx"]
    architecture: str  # general.architecture or model_type
    name: str
    quantization: str  # "Q4_K_M", "4-bit", "int4", as the file says or its tensors show
    parameters: int
    context: int
    embedding: int
    heads: int
    feed_forward: int
    vocabulary: int
    experts: int = 0
    experts_used: int = 0
    layers: tuple[LayerFacts, ...] = ()
    input_bytes: int = 0  # embeddings of tokens: read by row, not streamed each token, but where one is the output too
    output_bytes: int = 0  # output projection, streamed each token; when tied, the same bytes as the input
    tied: bool = False
    other_bytes: int = 0  # norms, rope factors, the rest
    idle_bytes: int = 0  # tensors that plain decoding never reads: image encoder, layers that predict further ahead
    weight_bytes: int = 0  # all tensors, exact: layers, input, other, idle, and the output unless it is tied
    file_bytes: int = 0  # all files of the model
    template: str | None = None
    pooling: bool = False  # an embedding or reranking model
    pools_last: bool = False  # its embedding or score is that of its last token
    fim: bool = False  # has fill-in-the-middle tokens
    tensor_types: dict[str, int] = {}  # bytes by tensor type
    vision: bool = False  # its files hold an image encoder
