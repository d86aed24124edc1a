"""Which tokens a sequence may go on with: a compiled grammar, and where one sequence stands in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence as Seq
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from edgellm.backends.base import Vocabulary
from edgellm.engine.constraint import Mask
from edgellm.errors import RequestError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_STEP_ITEMS = 50_000
_STEP_FUEL = 200_000


def limits() -> LLParserLimits:
    """Of what one compilation and one step may take: about a second, and about 20 ms."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        step_lexer_fuel=_STEP_FUEL,
        step_max_items=_STEP_ITEMS,
        max_lexer_states=50_000,
        max_grammar_size=200_000,
        verbose_errors=False,
    )


class GrammarTokens:
    """A vocabulary as grammars see it; made once a model, in about a second for 150,000 tokens. Immutable.

    Control tokens match no text. Where the text of a token cannot be told, no grammar ever allows it.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        from llguidance import LLTokenizer, TokenizerWrapper

        ends = sorted(vocabulary.end_tokens)
        self.size = len(vocabulary)
        # A grammar must be able to end; where the model has no end token, any control token would do, and none is drawn
        # in its place: the sequence ends as soon as nothing can follow.
        end = ends or [self.size]
        described = _Described(vocabulary, end[0])
        size = max(self.size, end[-1] + 1)
        self.tokenizer: LLTokenizer = LLTokenizer(TokenizerWrapper(described), n_vocab=size, eos_token=end)


class _Described:
    """The attributes that llguidance reads."""

    def __init__(self, vocabulary: Vocabulary, end: int) -> None:
        self._vocabulary = vocabulary
        self.tokens = list(vocabulary.pieces())
        self.eos_token_id = end
        self.bos_token_id = vocabulary.bos
        if end == len(self.tokens):
            self.tokens.append(b"<end>")
        texts = enumerate(zip(self.tokens, chain(vocabulary.pieces(special=False), (b"",)), strict=False))
        self.special_token_ids = [id for id, (whole, text) in texts if whole and not text]

    def __call__(self, text: bytes) -> list[int]:
        """How the model itself would write `text` in the middle of others."""
        ids = self._vocabulary.tokenize(text.decode("utf-8", "replace"), special=False, add_bos=False)
        return ids if self._spells(ids, text) else self._behind_a_line(text)

    def _behind_a_line(self, text: bytes) -> list[int]:
        """Some tokenizers put a space before every text: so a line's end goes before it, and is taken away again."""
        line = self._vocabulary.tokenize("\n", special=False, add_bos=False)
        ids = self._vocabulary.tokenize("\n" + text.decode("utf-8", "replace"), special=False, add_bos=False)
        rest = ids[len(line) :]
        return rest if ids[: len(line)] == line and self._spells(rest, text) else self._greedily(text)

    def _greedily(self, text: bytes) -> list[int]:
        ids, at = [], 0
        while at < len(text):
            lengths = range(min(self._longest, len(text) - at), 0, -1)
            length, id = next((n, id) for n in lengths if (id := self._by_text.get(text[at : at + n])) is not None)
            ids.append(id)
            at += length
        return ids

    def _spells(self, ids: list[int], text: bytes) -> bool:
        return b"".join(self.tokens[id] for id in ids) == text

    @cached_property
    def _by_text(self) -> dict[bytes, int]:
        special = set(self.special_token_ids)
        return {text: id for id, text in enumerate(self.tokens) if text and id not in special}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._by_text))


class Grammar:
    """Compiled, immutable, for any number of sequences. `source` is in llguidance's own notation.

    Raises RequestError when it is malformed or too complex. Compilation lets go of the GIL.
    """

    def __init__(self, source: str, tokens: GrammarTokens) -> None:
        from llguidance import LLMatcher

        self.size = tokens.size
        self.matcher = LLMatcher(tokens.tokenizer, source, log_level=0, limits=limits())
        if self.matcher.is_error():
            raise RequestError(f"The grammar cannot be used: {_short(self.matcher.get_error())}.")
        if not any(self.matcher.compute_bitmask()):
            raise RequestError("The grammar allows no text at all; make it satisfiable.")

    def start(self, stops: Iterable[int]) -> GrammarState:
        return GrammarState(self.matcher.deep_copy(), self.size, frozenset(stops))


class GrammarState:
    """Where one sequence stands. `stops` are the tokens that end it: allowed only where the grammar may end."""

    def __init__(self, matcher: LLMatcher, size: int, stops: frozenset[int]) -> None:
        self._matcher = matcher
        self._size = size
        self._stops = stops
        self._stop_ids = np.array(sorted(stops), np.intp)

    @property
    def ended(self) -> bool:
        """Nothing can follow what was written."""
        return self._matcher.is_stopped()

    def allows(self, token: int) -> bool:
        if token in self._stops:
            return self._matcher.is_accepting()
        return self._matcher.validate_tokens([token]) == 1

    def mask(self) -> Mask:
        """Shape (vocabulary,), True where a token is allowed. Raises RequestError beyond the limits of a step."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        allowed = np.unpackbits(packed, count=self._size, bitorder="little").view(np.bool_)
        allowed[self._stop_ids] = self._matcher.is_accepting()
        return allowed

    def advance(self, token: int) -> None:
        """`token`, which is allowed, was appended."""
        if token not in self._stops and not self._matcher.consume_token(token):
            self._check()
            raise AssertionError(f"token {token} was drawn against the grammar")

    def agreeing(self, drafts: Seq[int]) -> int:
        """How many of `drafts`, from the first on, the grammar allows; a stop token ends them."""
        text = next((place for place, token in enumerate(drafts) if token in self._stops), len(drafts))
        count = self._matcher.validate_tokens(list(drafts[:text]))
        return count + 1 if count == text < len(drafts) else count

    def forced(self) -> list[int]:
        """Tokens that spell what alone may follow, as the model itself would write it."""
        return [] if self._matcher.is_stopped() else list(self._matcher.compute_ff_tokens())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RequestError(
                f"The grammar became too complex while the answer was written ({_short(self._matcher.get_error())}). "
                "Make it simpler, with fewer alternatives and bounds on what repeats."
            )


def _short(error: str) -> str:
    return " ".join(error.split()).rstrip(".")[:300]
