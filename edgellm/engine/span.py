"""A run of tokens in the tree of the prefix cache, and what a search for tokens finds there."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgellm.engine.host_tier import Saved


@dataclass(eq=False, slots=True)
class Span:
    """Tokens that follow `parent`'s; `slots` hold them. With one slot and no children it may still grow."""

    parent: Span | None
    tokens: list[int]
    slots: set[int]
    children: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Match:
    """The first `length` tokens are held by `slot`; `span` contains the last of them, `inside` counts those there.

    Where `saved` is set they are in the host tier instead, and no slot holds as many.
    """

    length: int
    slot: int | None
    span: Span
    inside: int
    saved: Saved | None = None
