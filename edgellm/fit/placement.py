"""`Placement`: everything about how a model is loaded that decides its memory and its speed."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgellm.catalog.metadata import LayerFacts, ModelFacts

KvType = Literal["f16", "q8_0"]

LONGEST_BY_DEFAULT = 8192
"""Tokens of context where nobody asks for more."""
_CELLS_STEP = 256
_PHYSICAL_BATCH = 512


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """`context` counts KV cells, shared by up to `slots` sequences of which `parallel` decode at once.

    Where they are not `shared`, every sequence has so many of its own.
    """

    context: int
    slots: int = 64
    parallel: int = 16
    batch: int = 512
    kv_type: KvType = "f16"
    flash_attention: bool = True
    gpu_layers: int = 0
    """The last so many layers are on the GPU, the output being the first to go: one more than all of them is all."""
    shares: tuple[int, ...] = ()
    """Of `gpu_layers`, how many each device has, where RPC servers are among them; theirs come first."""
    servers: int = 0
    """How many of the devices are RPC servers'."""
    shared: bool = True
    cpu_experts: bool = False
    """Routed experts stay in the computer's memory, whatever `gpu_layers` says."""

    @property
    def cells(self) -> int:
        """The context as llama.cpp rounds it up."""
        return -(-self.context // _CELLS_STEP) * _CELLS_STEP

    @property
    def contexts(self) -> int:
        """How many times `cells` exist."""
        return 1 if self.shared else self.slots

    @property
    def tokens(self) -> int:
        """How many tokens one pass through the layers computes at most."""
        return min(self.batch, _PHYSICAL_BATCH, self.cells)

    def on_gpu(self, facts: ModelFacts) -> tuple[LayerFacts, ...]:
        """The layers that the GPU holds."""
        count = min(max(self.gpu_layers - 1, 0), len(facts.layers))
        return facts.layers[len(facts.layers) - count :]

    def away(self, facts: ModelFacts) -> tuple[LayerFacts, ...]:
        """The layers that RPC servers hold: the first of those that are on devices."""
        return self.on_gpu(facts)[: sum(self.shares[: self.servers])]

    @property
    def output_away(self) -> bool:
        """Whether the output, which the last device has, is on an RPC server."""
        used = [index for index, share in enumerate(self.shares) if share]
        return bool(used) and used[-1] < self.servers

    def on_cpu(self, facts: ModelFacts) -> tuple[LayerFacts, ...]:
        """The layers that the GPU does not hold."""
        return facts.layers[: len(facts.layers) - len(self.on_gpu(facts))]


def default_context(facts: ModelFacts) -> int:
    """The trained context, within reason."""
    return min(facts.context or LONGEST_BY_DEFAULT, LONGEST_BY_DEFAULT)
