"""How many tokens may be generated; a prompt that does not fit is an error with the numbers, never a silent cut."""

from __future__ import annotations

from edgellm.errors import ContextOverflow, RequestError


def answer_budget(prompt: int, context: int, asked: int | None) -> int:
    """Tokens that may follow `prompt` tokens in a context of `context`: at most `asked` (None: as many as fit).

    Where more is asked than there is room for, the answer ends at the context's end with finish reason "length": all
    of the prompt is kept, and the reason says so. Raises ContextOverflow where not even one token fits.
    """
    if asked is not None and asked < 1:
        raise RequestError(f"max_tokens is {asked}; ask for at least 1, or leave it out for as many as fit.")
    room = context - prompt
    if room < 1:
        raise ContextOverflow(_overflow(prompt, context, asked), needed=prompt + (asked or 1), available=context)
    return room if asked is None else min(asked, room)


def _overflow(prompt: int, context: int, asked: int | None) -> str:
    answer = f"an answer of up to {_tokens(asked)}" if asked else "an answer of at least 1 token"
    return (
        f"The prompt has {_tokens(prompt)} and {answer} was asked for, but the context holds {_tokens(context)}. "
        f"Shorten the prompt by at least {_tokens(prompt - context + 1)}, or load the model with a larger context."
    )


def _tokens(count: int) -> str:
    return f"{count} token" if count == 1 else f"{count} tokens"
