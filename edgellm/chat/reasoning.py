"""`ThinkingTags`: how a model's template marks thoughts, and whether a prompt leaves them open."""

from __future__ import annotations

import msgspec


class ThinkingTags(msgspec.Struct, frozen=True):
    """Thoughts stand between `opening` and `closing`."""

    opening: str
    closing: str

    def open_in(self, prompt: str) -> bool:
        """Whether the answer to `prompt` begins inside thoughts."""
        last = prompt.rfind(self.opening)
        return last >= 0 and not prompt[last + len(self.opening) :].strip()


THINK = ThinkingTags("<think>", "</think>")

# The first whose closing tag the template spells wins.
_KNOWN = (
    ThinkingTags("<seed:think>", "</seed:think>"),
    ThinkingTags("<mm:think>", "</mm:think>"),
    ThinkingTags("[THINK]", "[/THINK]"),
    ThinkingTags("<|START_THINKING|>", "<|END_THINKING|>"),
    ThinkingTags("<|inner_prefix|>", "<|inner_suffix|>"),
    ThinkingTags("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"),
    THINK,
)


def thinking_of(template: str) -> ThinkingTags | None:
    """The tags that a chat template's source speaks of; None where it knows none."""
    return next((tags for tags in _KNOWN if tags.closing in template), None)
