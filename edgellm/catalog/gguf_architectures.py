"""Which kinds of memory llama.cpp gives the layers of an architecture, where the header alone does not say it.

Source: llama.cpp, as llama-cpp-python 0.3.36 ships it: src/models/*.cpp (`load_arch_hparams`), llama-arch.cpp
(`llm_arch_is_recurrent`, `llm_arch_is_hybrid`) and `llama_model::create_memory`.
"""

from __future__ import annotations

from typing import NamedTuple


class Windows(NamedTuple):
    """Layers that see a sliding window: all but each `period`th, which is the first of its period or the last.

    `period` 0 means that only the file's own list tells. `window` is used where the file names none; `fixed` says that
    it is used even where the file names another.
    """

    period: int
    full_first: bool = False
    window: int = 0
    fixed: bool = False


WINDOWS = {
    "afmoe": Windows(4),
    "cohere2": Windows(4),
    "cohere2moe": Windows(4, full_first=True),
    "dots3note": Windows(0),
    "exaone-moe": Windows(4, window=128),
    "exaone4": Windows(4, window=4096),
    "gemma2": Windows(2, window=4096),
    "gemma3": Windows(6),
    "gemma3n": Windows(5),
    "gemma4": Windows(0),
    "gpt-oss": Windows(2),
    "granite_swa": Windows(0),
    "laguna": Windows(4, full_first=True),
    "llama4": Windows(4, window=8192, fixed=True),
    "maple": Windows(0),
    "mellum": Windows(4),
    "mimo2": Windows(0),
    "muse-glimmer": Windows(4),
    "olmo2": Windows(4),
    "plamo3": Windows(8),
    "smallthinker": Windows(4, full_first=True, window=4096, fixed=True),
    "spark2_5": Windows(0),
    "step35": Windows(0),
}
NO_WINDOW_UNLESS_NAMED = frozenset({"smallthinker"})

# Every layer is recurrent and none has KV.
RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# A layer without KV heads is recurrent.
RECURRENT_WITHOUT_HEADS = frozenset(
    {
        "bailingmoe3",
        "glm5-next",
        "granitehybrid",
        "jamba",
        "kimi-k3",
        "kimi-linear",
        "lfm2",
        "lfm2moe",
        "plamo2",
    }
)
# The file lists the recurrent layers, or all but each nth are.
RECURRENT_BUT_EACH = {"minimax-01": 8, "qwen35": 4, "qwen35moe": 4, "qwen3next": 4, "qwen4exp": 4}
# Attention and state space side by side in every layer.
RECURRENT_AND_ATTENTION = frozenset({"falcon-h1"})
# A layer is recurrent, attention, or feed-forward alone.
ONE_KIND_A_LAYER = frozenset({"nemotron_h", "nemotron_h_moe"})

# Keys and values are one latent vector, when the file has the sizes of its heads.
LATENT = frozenset(
    {
        "bailingmoe3",
        "deepseek2",
        "deepseek32",
        "dots3note",
        "glm-dsa",
        "glm5-next",
        "hy_v4",
        "kimi-k3",
        "kimi-linear",
        "mistral4",
    }
)
# Keys of a sparse-attention indexer are kept beside the others; those not in LISTED_INDEXERS keep them in every layer.
INDEXERS = frozenset({"deepseek32", "dots3note", "glm-dsa", "glm5-next", "hy_v4", "minimax-m3", "qwen4exp"})
LISTED_INDEXERS = frozenset({"dots3note", "glm-dsa", "glm5-next", "hy_v4"})

# Encoders and diffusion models: nothing is kept from one run to the next.
WITHOUT_KV = frozenset(
    {
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "wavtokenizer-dec",
    }
)
ENCODERS = WITHOUT_KV - {"dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec"} | {"t5encoder", "llama-embed"}
