"""Which of a sequence's drafted tokens the model would have written itself; plain decoding is the case of no drafts."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from edgellm.backends.batch import Rows
from edgellm.engine.sequence import Sequence


def verify(sequence: Sequence, rows: Rows, first: int, drafts: Seq[int]) -> tuple[list[int], int]:
    """The model's own next tokens (at least one) and how many of `drafts` are among them.

    Row `first` follows the sequence's last token, row `first + i` its i-th draft. For each the model's own token is
    drawn, by argmax or by the uniform of its position; drafts are accepted while they equal it. What comes out is
    exactly what decoding one by one would have drawn. Stops after a token that ends the sequence. Where the sequence
    has a grammar, no token is drawn against it, and it is advanced by every token drawn.
    """
    history = list(sequence.tokens) if drafts else sequence.tokens
    drawn: list[int] = []
    for index in range(len(drafts) + 1):
        token = _draw(sequence, rows, first + index, history)
        drawn.append(token)
        accepted = index < len(drafts) and token == drafts[index]
        if not accepted or sequence.ends_with(token):
            return drawn, index + accepted
        history.append(token)
    raise AssertionError("the row after the last draft always decides")


def _draw(sequence: Sequence, rows: Rows, row: int, history: Seq[int]) -> int:
    grammar, sampler, position = sequence.grammar, sequence.sampler, len(history)
    if grammar is None:
        return sampler.draw(rows, row, position, history)
    # Most of what a model would write is allowed, and to ask for one token is far cheaper than for all of them.
    token = sampler.draw(rows, row, position, history) if sampler.greedy else None
    if token is None or not grammar.allows(token):
        token = sampler.draw(rows, row, position, history, grammar.mask())
    grammar.advance(token)
    return token
