"""A model's compiled grammars: made beside the event loop, one for each format however many ask, the latest kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from edgellm.backends.base import Vocabulary
from edgellm.chat.grammar import grammar_source
from edgellm.engine.grammar import Grammar, GrammarTokens
from edgellm.errors import RequestError
from edgellm.request import Format

KEPT = 64
LONGEST_S = 10.0
"""Seconds a request waits for its grammar; the work behind it has limits of its own."""

_AT_ONCE = 2


class Compiled(NamedTuple):
    grammar: Grammar
    warnings: tuple[str, ...]


class Grammars:
    """Belongs to one event loop. `kept` grammars are remembered, the longest unused forgotten first."""

    def __init__(self, vocabulary: Vocabulary, kept: int = KEPT, longest_s: float = LONGEST_S) -> None:
        self._vocabulary = vocabulary
        self._most = kept
        self._longest_s = longest_s
        self._kept: OrderedDict[bytes, asyncio.Future[Compiled]] = OrderedDict()
        self._tokens: asyncio.Future[GrammarTokens] | None = None
        self._threads = ThreadPoolExecutor(_AT_ONCE, "edgellm-grammar")

    async def compiled(self, format: Format) -> Compiled:
        """Raises RequestError for a format that cannot be enforced, or that takes too long to prepare."""
        try:
            key = msgspec.msgpack.encode(format)
        except (UnicodeEncodeError, OverflowError, TypeError, RecursionError) as error:
            raise RequestError(f"The output format is not sound JSON ({error}).") from error
        work = self._kept.get(key)
        if work is None or (work.done() and (work.cancelled() or work.exception() is not None)):
            work = self._kept[key] = asyncio.ensure_future(self._compile(format))
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # all who asked may have left
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        try:
            async with asyncio.timeout(self._longest_s):
                return await asyncio.shield(work)
        except TimeoutError:
            raise RequestError(
                f"The output format took more than {self._longest_s:g} s to prepare; make it simpler."
            ) from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _compile(self, format: Format) -> Compiled:
        loop = asyncio.get_running_loop()
        source = await loop.run_in_executor(self._threads, grammar_source, format)
        tokens = await self._vocabulary_read()
        grammar = await loop.run_in_executor(self._threads, Grammar, source.text, tokens)
        return Compiled(grammar, source.warnings)

    async def _vocabulary_read(self) -> GrammarTokens:
        if self._tokens is None:
            loop = asyncio.get_running_loop()
            self._tokens = asyncio.ensure_future(loop.run_in_executor(self._threads, GrammarTokens, self._vocabulary))
        return await asyncio.shield(self._tokens)
