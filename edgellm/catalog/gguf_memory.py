"""What each layer of a GGUF model keeps of a sequence, KV and recurrent state, counted as llama.cpp allocates it.

Source: llama.cpp's llama-hparams.cpp (`n_embd_k_gqa`, `n_embd_r`, `n_embd_s`, `set_swa_pattern`), the constructors of
`llama_kv_cache` and `llama_memory_recurrent`, and `llama_model::create_memory`.
"""

from __future__ import annotations

from edgellm.catalog import gguf_architectures as kinds
from edgellm.catalog.gguf_sizes import Sizes
from edgellm.catalog.model_facts import LayerFacts
from edgellm.errors import NotAModel

_MOST_ELEMENTS = 2**40


def layers(sizes: Sizes) -> list[LayerFacts]:
    """One `LayerFacts` without weights for every layer that decoding runs."""
    memory = _Memory(sizes)
    found = [memory.layer(index) for index in range(sizes.layers)]
    loops = sizes.number("num_loops", 1) if sizes.architecture == "nanbeige" else 1
    if loops * len(found) > 512:  # llama.cpp's own limit; it refuses the file
        loops = 1
    if sizes.architecture == "graniteswitch":  # one more, of a single head, for what routes between adapters
        found.append(LayerFacts(key=memory.key_size, value=memory.value_size))
    if any(max(layer.key, layer.value, layer.state) > _MOST_ELEMENTS for layer in found):
        raise NotAModel(f"{sizes.name} is damaged: its layers are larger than those of any model. Download it again.")
    return found * max(loops, 1)


class _Memory:
    """The rules of one architecture, applied to one layer at a time."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        name = sizes.architecture
        width = _head_size(sizes)
        self.key_size = sizes.number("attention.key_length", width) if width or name == "plamo2" else 0
        self.value_size = sizes.number("attention.value_length", width) if width or name == "plamo2" else 0
        self._latent = name in kinds.LATENT and bool(
            sizes.number("attention.key_length_mla") and sizes.number("attention.value_length_mla")
        )
        self._recurrent = _recurrent(sizes)
        self._windows = _windows(sizes, self._recurrent)
        self._indexed = _indexed(sizes)
        self._state = _state(sizes)
        self._owners = _owners(sizes)

    def layer(self, index: int) -> LayerFacts:
        name = self._sizes.architecture
        state = self._state if self._recurrent[index] else 0
        if not self._attends(index):
            return LayerFacts(state=state)
        window, groups = self._windows[index], self._sizes.groups[index]
        suffix = "_swa" if window else ""
        key = groups * self._sizes.number(f"attention.key_length{suffix}", self.key_size)
        value = 0 if self._latent else groups * self._sizes.number(f"attention.value_length{suffix}", self.value_size)
        if self._indexed[index]:
            key += self._sizes.number("attention.indexer.key_length") * (3 if name == "glm5-next" else 1)
            value += self.value_size if name == "minimax-m3" else 0
        return LayerFacts(key=key, value=value, window=window, state=state)

    def _attends(self, index: int) -> bool:
        """Whether the layer has KV of its own."""
        name = self._sizes.architecture
        if name in kinds.WITHOUT_KV or name in kinds.RECURRENT or index >= self._owners:
            return False
        if name in kinds.ONE_KIND_A_LAYER:
            return not self._recurrent[index] and self._sizes.each("feed_forward_length")[index] == 0
        return name in kinds.RECURRENT_AND_ATTENTION or not self._recurrent[index]


def _head_size(sizes: Sizes) -> int:
    """The size of a head where the file does not state it; 0 where layers have no heads."""
    first = sizes.heads[0] if sizes.heads else 0
    return sizes.number("embedding_length") // first if first else 0


def _recurrent(sizes: Sizes) -> list[bool]:
    name, count = sizes.architecture, sizes.layers
    if name in kinds.RECURRENT or name in kinds.RECURRENT_AND_ATTENTION:
        return [True] * count
    if name in kinds.RECURRENT_WITHOUT_HEADS:
        return [groups == 0 for groups in sizes.groups[:count]]
    if name in kinds.ONE_KIND_A_LAYER:
        both = zip(sizes.groups, sizes.each("feed_forward_length"), strict=True)
        return [groups == 0 and width == 0 for groups, width in both][:count]
    if name in kinds.RECURRENT_BUT_EACH:
        if sizes.list("attention.recurrent_layers") is not None:
            return [flag != 0 for flag in sizes.each("attention.recurrent_layers")[:count]]
        interval = sizes.number("full_attention_interval", kinds.RECURRENT_BUT_EACH[name]) or 1
        return [(index + 1) % interval != 0 for index in range(count)]
    return [False] * count


def _windows(sizes: Sizes, recurrent: list[bool]) -> list[int]:
    """The window of each layer in tokens, 0 for the whole context."""
    name, count = sizes.architecture, sizes.layers
    stated = sizes.number("attention.sliding_window")
    if name == "lfm2":
        return [0 if flag else stated for flag in recurrent]
    rule = kinds.WINDOWS.get(name)
    if rule is None or (name == "exaone4" and count != 64):
        return [0] * count
    named = sizes.has("attention.sliding_window")
    if (named and stated == 0) or (not named and name in kinds.NO_WINDOW_UNLESS_NAMED):
        return [0] * count
    window = rule.window if rule.fixed or not named else stated
    return [window if sliding else 0 for sliding in _sliding(sizes, rule)]


def _sliding(sizes: Sizes, rule: kinds.Windows) -> list[bool]:
    count = sizes.layers
    if sizes.list("attention.sliding_window_pattern") is not None:
        return [flag != 0 for flag in sizes.each("attention.sliding_window_pattern")[:count]]
    if rule.period == 0:  # the list is required; without it every layer counts in full
        return [False] * count
    period = sizes.number("attention.sliding_window_pattern", rule.period)
    if period == 0:
        return [True] * count
    full = 0 if rule.full_first else period - 1
    return [index % period != full for index in range(count)]


def _indexed(sizes: Sizes) -> list[bool]:
    """Which layers keep indexer keys too."""
    name, count = sizes.architecture, sizes.layers
    if name not in kinds.INDEXERS or not sizes.number("attention.indexer.key_length"):
        return [False] * count
    if name == "minimax-m3":
        return [index >= sizes.number("leading_dense_block_count") for index in range(count)]
    if name in kinds.LISTED_INDEXERS and sizes.list("attention.indexer.types") is not None:
        return [flag != 0 for flag in sizes.each("attention.indexer.types")[:count]]
    return [True] * count


def _state(sizes: Sizes) -> int:
    """float32 numbers that a recurrent layer keeps for one sequence."""
    width, heads = sizes.number("embedding_length"), sizes.heads[0] if sizes.heads else 0
    if head := sizes.number("wkv.head_size"):
        return sizes.number("token_shift_count", 2) * width + width * head
    if taps := sizes.number("shortconv.l_cache"):
        return width * (taps - 1) + sizes.number("ssm.state_size") * sizes.number("ssm.inner_size")
    taps = sizes.number("ssm.conv_kernel")
    if head := sizes.number("kda.head_dim"):
        return 3 * (taps - 1 if taps else 3) * heads * head + head * head * heads
    if sizes.architecture == "minimax-01":
        return sizes.number("attention.key_length", width // heads if heads else 0) ** 2 * heads
    inner, state, groups = (sizes.number(f"ssm.{name}") for name in ("inner_size", "state_size", "group_count"))
    return max(taps - 1, 0) * (inner + 2 * groups * state) + state * inner


def _owners(sizes: Sizes) -> int:
    """How many layers have KV of their own; later ones read that of earlier ones."""
    if sizes.architecture == "gemma3n":
        return 20
    if sizes.architecture == "gemma4":
        return sizes.blocks - sizes.number("attention.shared_kv_layers")
    return sizes.blocks
