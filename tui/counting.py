"""Exact token counts of what would be sent, for the meter and for the plan when it does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from edgellm.errors import EdgeLLMError
from edgellm.model import Model
from edgellm.request import Conversation
from tui import context_plan, prompting, side_requests
from tui.notices import Meter, Offer
from tui.store.records import Cut, Entry, Options


class Prompt:
    """A branch as the model would get it, and how long that is. Errors: EdgeLLMError of the model."""

    def __init__(self, model: Model, path: Sequence[Entry], options: Options, cut: Cut | None) -> None:
        self._model, self._path, self._options, self._cut = model, path, options, cut

    @property
    def conversation(self) -> Conversation:
        return prompting.conversation(self._path, self._options, self._cut)

    @property
    def left_out(self) -> int:
        return prompting.left_out(self._path, self._cut)

    async def meter(self) -> Meter:
        limit = self._model.info.context_length
        return Meter(
            used=await self._count(self.conversation),
            limit=limit,
            reserve=context_plan.reserve(limit, self._options.max_tokens),
            left_out=self.left_out,
        )

    async def offers(self, meter: Meter) -> tuple[Offer, ...]:
        """Ways to make it fit."""
        return await context_plan.offers(self._path, meter, self._from, self._summary)

    def before(self, point: int) -> Conversation:
        """What comes before the entry at `point`, with what an older cut says."""
        return prompting.conversation(self._path[:point], self._options, self._cut)

    async def _from(self, point: int) -> int:
        return await self._count(prompting.conversation(self._path[point:], self._options))

    async def _summary(self, point: int) -> int:
        return await self._count(side_requests.summary_prompt(self.before(point)))

    async def _count(self, conversation: Conversation) -> int:
        if not conversation.messages:
            return 0
        return len(await self._model.tokenize(conversation, prompting.template_args(self._options)))


async def meter_or_none(prompt: Prompt) -> Meter | None:
    """None where the model cannot count (a server may not), or does not say how much it holds."""
    try:
        meter = await prompt.meter()
    except EdgeLLMError:
        return None
    return meter if meter.limit else None


def too_long(meter: Meter) -> str:
    """What to do when leaving everything else out would not help."""
    return (
        f"The last message is too long: with it the prompt has {meter.used} tokens and {meter.reserve} are kept for "
        f"the answer, but the context holds {meter.limit}. Shorten the message, or take a larger context."
    )
