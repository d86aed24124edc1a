"""A model's compiled grammars: made beside the event loop, one for each format however many ask, the latest kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec

from edgellm.backends.base import Vocabulary
from edgellm.chat.grammar import GrammarSource, grammar_source, lark_expression
from edgellm.chat.tool_grammar import CallSyntax, control_of, tool_grammar
from edgellm.chat.tool_schema import CheckedTools
from edgellm.engine.grammar import Grammar, GrammarTokens
from edgellm.errors import RequestError
from edgellm.messages import Tool
from edgellm.request import Format

KEPT = 64
LONGEST_S = 10.0
"""Seconds a request waits for its grammar; the work behind it has limits of its own."""

_AT_ONCE = 2
_T = TypeVar("_T")


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
        self._checker = ThreadPoolExecutor(1, "edgellm-grammar")
        self._tools = CheckedTools()

    async def compiled(self, format: Format) -> Compiled:
        """Raises RequestError for a format that cannot be enforced, or that takes too long to prepare."""
        return await self._made(_key(format), lambda: grammar_source(format))

    async def calls(
        self, tools: Sequence[Tool], choice: str, syntax: CallSyntax, *, parallel: bool, otherwise: Format | None
    ) -> Compiled:
        """Calls of `tools` as `tool_grammar` has them, or else an answer in the format `otherwise`, if there is one."""
        key = _key(("calls", tuple(tools), choice, syntax, parallel, otherwise))

        def source() -> GrammarSource:
            other = lark_expression(otherwise) if otherwise is not None else GrammarSource("")
            control = control_of(self._vocabulary)
            written = tool_grammar(tools, choice, syntax, parallel=parallel, otherwise=other.text, control=control)
            return GrammarSource(grammar_source(written).text, other.warnings)

        return await self._made(key, source)

    async def checked(self, tools: Sequence[Tool]) -> tuple[str, ...]:
        """What of the tools' schemas is not enforced. Raises RequestError for one that cannot be."""
        _key(tuple(tools))
        return await self._in_time(asyncio.get_running_loop().run_in_executor(self._checker, self._tools.check, tools))

    def close(self) -> None:
        for threads in (self._threads, self._checker):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _made(self, key: bytes, source: Callable[[], GrammarSource]) -> Compiled:
        await self._vocabulary_read()  # takes its time once, which is no fault of the format's
        work = self._kept.get(key)
        if work is None or (work.done() and (work.cancelled() or work.exception() is not None)):
            work = self._kept[key] = asyncio.ensure_future(self._compile(source))
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # all who asked may have left
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return await self._in_time(work)

    async def _in_time(self, work: asyncio.Future[_T]) -> _T:
        try:
            async with asyncio.timeout(self._longest_s):
                return await asyncio.shield(work)
        except TimeoutError:
            raise RequestError(
                f"The output format or the tools took more than {self._longest_s:g} s to prepare; make them simpler."
            ) from None

    async def _compile(self, source: Callable[[], GrammarSource]) -> Compiled:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(self._threads, source)
        tokens = await self._vocabulary_read()
        grammar = await loop.run_in_executor(self._threads, Grammar, made.text, tokens)
        return Compiled(grammar, made.warnings)

    async def _vocabulary_read(self) -> GrammarTokens:
        if self._tokens is None:
            loop = asyncio.get_running_loop()
            self._tokens = asyncio.ensure_future(loop.run_in_executor(self._threads, GrammarTokens, self._vocabulary))
        return await asyncio.shield(self._tokens)


def _key(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (UnicodeEncodeError, OverflowError, TypeError, RecursionError) as error:
        raise RequestError(f"The output format or a tool is not sound JSON ({error}).") from error
