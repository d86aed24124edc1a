"""The caches of one layer of several slots as one cache of a batch, so that weights are read once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class GatheredCache:
    """For one pass of a model over as many tokens of each slot; every slot's own cache grows, and can be cut alone.

    Shorter ones are padded in front, as mlx-lm's own batches are. `mx` is MLX, and `causal_mask` is mlx-lm's.
    """

    def __init__(self, mx: Any, causal_mask: Callable[..., Any], caches: Sequence[Any]) -> None:
        self._mx, self._causal_mask, self._caches = mx, causal_mask, caches
        lengths = [cache.offset for cache in caches]
        self._longest = max(lengths)
        self._padding = [self._longest - length for length in lengths]
        self.offset = mx.array(lengths)

    def update_and_fetch(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """`keys` and `values` have shape (slots, heads, tokens, width), and so have all of them that come back."""
        grown = [
            cache.update_and_fetch(keys[row : row + 1], values[row : row + 1]) for row, cache in enumerate(self._caches)
        ]
        padded = [
            [self._padded(array, padding) for array in pair] for pair, padding in zip(grown, self._padding, strict=True)
        ]
        every_key, every_value = zip(*padded, strict=True)
        return self._mx.concatenate(every_key), self._mx.concatenate(every_value)

    def make_mask(self, count: int, return_array: bool = False, window_size: int | None = None) -> Any:
        """Which of the others each of the last `count` tokens sees, as mlx-lm's caches tell it."""
        padding = self._mx.array(self._padding)
        return self._causal_mask(count, offset=self._longest, window_size=window_size, left_padding=padding)

    def _padded(self, array: Any, padding: int) -> Any:
        return self._mx.pad(array, [(0, 0), (0, 0), (padding, 0), (0, 0)]) if padding else array
