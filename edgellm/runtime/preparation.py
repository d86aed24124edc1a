"""`Preparation`: what must be known of a request before its first token: prompt, constraint, and how to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from edgellm.backends.base import Vocabulary
from edgellm.chat.answer import AnswerStream
from edgellm.chat.prompt import render_input
from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.template import ChatTemplate
from edgellm.chat.tools.parser import Parser, ParserContext
from edgellm.engine.constraint import Constraint
from edgellm.engine.thoughts import Thoughts
from edgellm.engine.triggered import Triggered
from edgellm.errors import RequestError
from edgellm.messages import Tool
from edgellm.request import ChatRequest, Conversation, Infill, Input, Prompt, TokenIds
from edgellm.runtime.grammars import Compiled, Grammars

LONG_TEXT = 20_000
"""Characters above which a prompt is rendered and tokenized beside the event loop instead of on it."""

_TAIL = 64
_PATIENCE_S = 3.0  # for a grammar that a request can do without
_EFFORTS = {"minimal": "low", "xhigh": "high"}  # what templates know


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """`piece` gives the bytes of a token that count; `parser` makes one for each answer, None where all is text."""

    prompt: list[int]
    piece: Callable[[int], bytes]
    parser: Callable[[], Parser] | None = None
    constraint: Constraint | None = None
    parallel: bool = True
    only_calls: bool = False
    warnings: tuple[str, ...] = ()

    def answer(self, stops: tuple[str, ...], choice: int) -> AnswerStream:
        parser = self.parser() if self.parser is not None else None
        return AnswerStream(self.piece, stops, choice, parser, self.parallel, self.only_calls)


class Preparation:
    """For one loaded model. Belongs to one event loop."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate, grammars: Grammars) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._grammars = grammars

    async def prepared(self, request: ChatRequest) -> Prepared:
        """Raises RequestError (also ContextOverflow's other kin) for what cannot be honoured."""
        request = _settled(request)
        tools = () if request.tool_choice == "none" else request.tools
        warnings = await self._grammars.checked(tools) if tools else ()
        prompt = await self.tokenize(request.input, _template_args(request), tools)
        talks = isinstance(request.input, Conversation)
        tags = self._template.family.thinking if talks else None
        open = tags is not None and tags.open_in(self._tail(prompt))
        parallel = request.parallel_tool_calls is not False and (not tools or self._template.parallel)
        compiled = await self._compiled(request, tools, parallel)
        trigger = None if compiled or not tools else await self._trigger(tools, parallel)
        constraint: Constraint | None = compiled.grammar if compiled else trigger
        if tags is not None:
            constraint = self._thoughts(tags, open, request.reasoning_budget, constraint, prompt)
        context = ParserContext(
            tools=tools,
            thinking_open=open,
            forced=bool(tools and compiled),
            early=False,
            enforced=trigger.mark.decode() if trigger else "",
        )
        reads = talks and bool(tags or tools)
        return Prepared(
            prompt=prompt,
            piece=self._shown if reads else self._vocabulary.piece,
            parser=(lambda: self._template.family.parser(context)) if reads else None,
            constraint=constraint,
            parallel=parallel,
            only_calls=bool(tools) and request.tool_choice != "auto",
            warnings=(*warnings, *(compiled.warnings if compiled else ())),
        )

    async def tokenize(self, input: Input, template_args: dict[str, Any], tools: tuple[Tool, ...]) -> list[int]:
        def render() -> list[int]:
            return render_input(input, self._template, self._vocabulary, tools=tools, template_args=template_args)

        ids = await asyncio.to_thread(render) if _length(input) > LONG_TEXT else render()
        if not ids:
            raise RequestError("the prompt is empty; give the model something to go on")
        return ids

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """As `Model.pieces`."""
        known = render_input(TokenIds(tuple(ids)), self._template, self._vocabulary) if ids else []
        return [self._vocabulary.piece(token, special=True) for token in known]

    async def _compiled(self, request: ChatRequest, tools: tuple[Tool, ...], parallel: bool) -> Compiled | None:
        """A choice of tools that must be made stands above the format; one that may be made stands beside it."""
        choice, format = request.tool_choice, request.format
        if not tools or (choice == "auto" and format is None):
            return await self._grammars.compiled(format) if format is not None else None
        syntax = self._template.family.syntax
        if choice == "auto":
            return await self._grammars.calls(tools, "required", syntax, parallel=parallel, otherwise=format)
        # Models that were not to stop by themselves go on with calls that nobody asked for.
        several = parallel and choice == "required" and request.parallel_tool_calls is True
        return await self._grammars.calls(tools, choice, syntax, parallel=several, otherwise=None)

    async def _trigger(self, tools: tuple[Tool, ...], parallel: bool) -> Triggered | None:
        """Free to call or not, a model that begins a call must finish it, where a token of its own begins it."""
        family = self._template.family
        head = f"{family.syntax.opening}{family.syntax.before}".partition("{name}")[0]
        marks = (mark for mark in family.flow.openings if head.startswith(mark) and len(self._ids(mark)) == 1)
        mark = next(marks, None)
        if mark is None or family.flow.reads is not None:
            return None
        several = parallel and family.syntax.opening != ""  # else each call has the mark before it
        try:
            async with asyncio.timeout(_PATIENCE_S):
                compiled = await self._grammars.calls(
                    tools, "required", family.syntax, parallel=several, otherwise=None
                )
        except (RequestError, TimeoutError):  # nobody asked for it; made it is for the next request all the same
            return None
        return Triggered(piece=self._spelled, mark=mark.encode(), grammar=compiled.grammar)

    def _thoughts(
        self, tags: ThinkingTags, open: bool, budget: int | None, answer: Constraint | None, prompt: list[int]
    ) -> Constraint | None:
        if budget is None and answer is None:
            return None
        if not open and budget == 0 and self._tail(prompt).rstrip().endswith(tags.closing):
            return answer  # the template itself has closed them
        opener = self._ids(tags.opening)
        return Thoughts(
            piece=self._spelled,
            size=len(self._vocabulary),
            open=open,
            opening=tags.opening.encode(),
            opener=opener[0] if len(opener) == 1 else None,
            closing=tags.closing.encode(),
            forced=tuple(self._closing(tags)),
            gaps=self._gaps,
            budget=budget,
            answer=answer,
            loose=isinstance(answer, Triggered),
        )

    def _closing(self, tags: ThinkingTags) -> list[int]:
        """Tags that are text stand on lines of their own; a control token stands alone."""
        ids = self._ids(tags.closing)
        return ids if not any(map(self._vocabulary.piece, ids)) else self._ids(f"\n{tags.closing}\n\n")

    def _ids(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, special=True, add_bos=False)

    def _tail(self, prompt: Sequence[int]) -> str:
        pieces = (self._vocabulary.piece(token, special=True) for token in prompt[-_TAIL:])
        return b"".join(pieces).decode("utf-8", "replace")

    def _spelled(self, token: int) -> bytes:
        return self._vocabulary.piece(token, special=True)

    def _shown(self, token: int) -> bytes:
        return self._vocabulary.piece(token, special=token in self._markers)

    @cached_property
    def _markers(self) -> frozenset[int]:
        """The control tokens that the family's parser must see."""
        ids = {id for marker in self._template.family.markers for id in self._ids(marker)}
        return frozenset(id for id in ids if not self._vocabulary.piece(id))

    @cached_property
    def _gaps(self) -> frozenset[int]:
        written = (self._ids(text) for text in ("\n", "\n\n"))
        return frozenset(ids[0] for ids in written if len(ids) == 1)


def _settled(request: ChatRequest) -> ChatRequest:
    """What switches thinking off makes its budget 0. Raises RequestError for tools that cannot be offered so."""
    choice, names = request.tool_choice, {tool.name for tool in request.tools}
    if choice not in ("auto", "none") and not request.tools:
        raise RequestError(f"tool_choice is {choice[:100]!r}, but the request has no tools; give some.")
    if choice not in ("auto", "none", "required") and choice not in names:
        raise RequestError(f"tool_choice asks for {choice[:100]!r}, which is not among the tools; name one of them.")
    if request.tools and choice != "none" and not isinstance(request.input, Conversation):
        raise RequestError("Tools belong to a conversation; send messages, or leave the tools out.")
    if request.thinking is False:
        return replace(request, reasoning_budget=0)
    if request.reasoning_budget == 0:
        return replace(request, thinking=False)
    if request.thinking is None and request.reasoning_effort is not None:
        return replace(request, thinking=True)
    return request


def _template_args(request: ChatRequest) -> dict[str, Any]:
    """The switch by the names that templates know it by; what the caller names goes first."""
    args: dict[str, Any] = {}
    if request.thinking is not None:
        args |= {"enable_thinking": request.thinking, "thinking": request.thinking}
    if request.reasoning_effort is not None:
        args["reasoning_effort"] = _EFFORTS.get(request.reasoning_effort, request.reasoning_effort)
    return args | request.template_args


def _length(input: Input) -> int:
    match input:
        case Conversation(messages=messages):
            return sum(len(message.text) for message in messages)
        case Prompt(text=text):
            return len(text)
        case Infill(prefix=prefix, suffix=suffix, files=files):
            return len(prefix) + len(suffix) + sum(len(file.text) for file in files or ())
        case TokenIds(ids=ids):
            return len(ids)
