"""Query and document as one input, laid out as the model that ranks them was trained on it."""

from __future__ import annotations

import re

from edgellm.backends.llamacpp.context import Context
from edgellm.backends.llamacpp.vocabulary import LlamaVocabulary

_PLACES = re.compile(r"(\{query\}|\{document\})")


class Pairs:
    """By the file's own prompt for it where there is one, else with the marks of its vocabulary between the two.

    `closing` are the tokens that end an input.
    """

    def __init__(self, context: Context, vocabulary: LlamaVocabulary) -> None:
        lib, native = context.library, context.vocabulary
        prompt = lib.llama_model_chat_template(context.model, b"rerank")
        self._prompt = prompt.decode("utf-8", "replace") if prompt else None
        self._vocabulary = vocabulary
        bos, eos, sep = lib.llama_vocab_bos(native), lib.llama_vocab_eos(native), lib.llama_vocab_sep(native)
        eos = eos if eos >= 0 else sep
        self.closing = frozenset(token for token in (eos, sep) if token >= 0)
        end = [eos] if lib.llama_vocab_get_add_eos(native) and eos >= 0 else []
        self._first = [bos] if lib.llama_vocab_get_add_bos(native) and bos >= 0 else []
        self._between = end + ([sep] if lib.llama_vocab_get_add_sep(native) and sep >= 0 else [])
        self._last = end

    def tokens(self, query: str, document: str) -> list[int]:
        if self._prompt is None:
            return [*self._first, *self._plain(query), *self._between, *self._plain(document), *self._last]
        texts = {"{query}": query, "{document}": document}
        parts = _PLACES.split(self._prompt)
        if any(self._plain(text) != self._marked(text) for text in texts.values()):
            # What looks like a mark in somebody's document must not act as one.
            each = (self._plain(texts[part]) if part in texts else self._marked(part) for part in parts)
            return [token for tokens in each for token in tokens]
        return self._marked("".join(texts.get(part, part) for part in parts))

    def _plain(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, special=False, add_bos=False)

    def _marked(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, special=True, add_bos=False)
