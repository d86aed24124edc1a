"""What each layer of an MLX model keeps of a sequence, KV and recurrent state, counted as mlx-lm makes its caches.

Source: mlx-lm 0.32, `make_cache` of its models. A layer whose kind we do not know counts as full attention, the most.
"""

from __future__ import annotations

from edgellm.catalog.mlx_config import Config
from edgellm.catalog.model_facts import LayerFacts

_SLIDING = ("sliding_attention", "chunked_attention", "sliding")
_BLOCKS = {"M": "mamba", "*": "full_attention", "-": "none", "E": "none"}
# Models that take only some layers as sliding, where the file does not list them: all but each nth.
_PATTERNS = {"cohere2": 4, "gemma3": 6, "gemma3_text": 6, "gpt_oss": 2, "llama4": 4, "llama4_text": 4, "olmo3": 4}
_LATENT = frozenset(
    {"deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_linear", "kimi_k3", "glm4_moe_lite", "glm_moe_dsa"}
)


def layers(config: Config) -> list[LayerFacts]:
    """One `LayerFacts` without weights for every layer."""
    kinds = _kinds(config)
    owners = config.layers - config.number("num_kv_shared_layers")
    return [_layer(config, kind, index < owners) for index, kind in enumerate(kinds)]


def _layer(config: Config, kind: str, owner: bool) -> LayerFacts:
    state = _state(config, kind)
    if kind in ("mamba", "linear_attention", "conv", "none"):
        return LayerFacts(state=state)
    if not owner:
        return LayerFacts()
    key, value = _key_and_value(config, kind)
    window = config.number("sliding_window", "attention_chunk_size") if kind in _SLIDING else 0
    return LayerFacts(key=key, value=value, window=window, state=state)


def _key_and_value(config: Config, kind: str) -> tuple[int, int]:
    rank, rope = config.number("kv_lora_rank"), config.number("qk_rope_head_dim")
    if rank and config.kind in _LATENT:
        return rank + rope, 0
    groups = config.number("num_key_value_heads", "multi_query_group_num", default=config.heads)
    width = config.number("head_dim", default=config.width // config.heads if config.heads else 0)
    if rank:  # kept head by head
        return groups * (config.number("qk_nope_head_dim") + rope), groups * config.number("v_head_dim")
    if kind not in _SLIDING:  # a few models have other sizes where they see everything
        groups = config.number("num_global_key_value_heads", default=groups)
        width = config.number("global_head_dim", default=width)
    return groups * width, groups * config.number("v_head_dim", default=width)


def _kinds(config: Config) -> list[str]:
    """What each layer is, by the names that `layer_types` uses."""
    count = config.layers
    listed = config.list("layer_types") or config.list("layers_block_type")
    if config.kind in ("mamba", "mamba2", "falcon_mamba"):
        return ["mamba"] * count
    if config.kind == "falcon_h1":
        return ["both"] * count
    if config.kind == "gemma2":  # mlx-lm keeps everything, whatever the file lists
        return ["full_attention"] * count
    if listed is not None:
        return [str(kind) for kind in listed[:count]]
    pattern = config.text("hybrid_override_pattern") or config.list("hybrid_override_pattern")
    if pattern and len(pattern) >= count:
        return [_BLOCKS.get(str(block), "full_attention") for block in pattern[:count]]
    return [_kind(config, index) for index in range(count)]


def _kind(config: Config, index: int) -> str:
    """What layer `index` is in a model that states a rule instead of a list."""
    if interval := config.number("full_attention_interval"):
        return "full_attention" if (index + 1) % interval == 0 else "linear_attention"
    if period := config.number("attn_layer_period"):
        return "full_attention" if index % period == config.number("attn_layer_offset") else "mamba"
    if isinstance(full := config.values.get("full_attn_idxs"), list):
        return "full_attention" if index in full else "conv"
    period = _PATTERNS.get(config.kind, 0)
    if period and (period := config.number("sliding_window_pattern", default=period)):
        return "full_attention" if (index + 1) % period == 0 else "sliding_attention"
    return "full_attention"


def _state(config: Config, kind: str) -> int:
    """Numbers that a recurrent layer keeps for one sequence, whatever their type."""
    if kind == "conv":
        return config.width * max(config.number("conv_L_cache") - 1, 0)
    if kind == "linear_attention":
        keys = config.number("linear_num_key_heads") * config.number("linear_key_head_dim")
        values = config.number("linear_num_value_heads") * config.number("linear_value_head_dim")
        taps = max(config.number("linear_conv_kernel_dim") - 1, 0)
        return taps * (2 * keys + values) + values * config.number("linear_key_head_dim")
    if kind in ("mamba", "both"):
        heads = config.number("mamba_n_heads", "mamba_num_heads", "num_heads")
        inner = heads * config.number("mamba_d_head", "mamba_head_dim", "head_dim")
        inner = inner or config.number("intermediate_size", "d_inner")
        if config.kind == "jamba":
            inner = config.number("mamba_expand") * config.width
        depth = config.number("mamba_d_state", "ssm_state_size", "state_size", "d_state")
        groups = config.number("mamba_n_groups", "n_groups")
        taps = max(config.number("mamba_d_conv", "conv_kernel", "d_conv") - 1, 0)
        return taps * (inner + 2 * groups * depth) + inner * depth
    return 0
