"""gpt-oss: an answer of messages, each with a channel and maybe a recipient (OpenAI's harmony format)."""

from __future__ import annotations

import re

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Calls, Flow, FlowReader, Prose
from edgellm.chat.tools.json_call import arguments
from edgellm.chat.tools.parser import CallEnd, Content, ParserContext, Thought
from edgellm.chat.tools.reader import MOST_OF_A_WORD, Mismatch, Reader, Steps, Waits, marks, through

_ENDS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([^\s<]+)")
_ANALYSIS = "<|channel|>analysis<|message|>"


_HEADER = "<|message|>"
_STARTS = ("<|channel|>", " to=", "<|start|>", "<|constrain|>", _HEADER)


def _call_of(name: str) -> Calls:
    def calls(reader: Reader, tools: DeclaredTools) -> Steps[None]:
        yield tools.start(name)
        yield from reader.space()
        yield from arguments(reader)
        yield CallEnd()

    return calls


class _HarmonyReader(FlowReader):
    """Analysis is thought, what has a declared function as its recipient is a call, all else is content."""

    def messages(self) -> Steps[None]:
        thoughts, content = Prose(Thought, fresh=True), Prose(Content)
        prose, more = thoughts if self._thinking_open and self._thinking else content, True
        mark = ""
        while more:
            header = yield from self._header(mark if mark == "<|channel|>" else "")
            if header is None:
                return
            if header:
                prose = thoughts if self._thinking and _channel(header) == "analysis" else content
                prose.again()
            if (name := self._called_in(header)) is not None:
                yield from self._attempt(_call_of(name), content, header)
            elif _channel(header) == "analysis" and prose is content:
                yield from prose(_ANALYSIS)
            mark = yield from through(self._reader.before(marks(*_ENDS)), prose)
            if mark and _channel(header) == "analysis" and prose is content:
                yield from prose("<|end|>")
            more = bool(mark)
        yield from prose.rest()

    def _header(self, begun: str) -> Waits[str | None]:
        """The next message's header with its mark, "" for a text without one, None for the end of everything."""
        reader = self._reader
        if not begun:
            yield from reader.skip("<|start|>")
            yield from reader.skip("assistant")
            for start in _STARTS:
                if (yield from reader.ahead(len(start))) == start:
                    break
            else:
                return "" if (yield from reader.ahead(1)) else None
        try:
            text, mark = yield from reader.upto(_HEADER)
        except Mismatch:  # cut off, or no header at all
            return None if len((yield from reader.ahead(MOST_OF_A_WORD))) < MOST_OF_A_WORD else ""
        return begun + text + mark

    def _called_in(self, header: str) -> str | None:
        found = _RECIPIENT.search(header)
        return found[1] if found and self._calls and found[1] in self._tools.names else None


def _channel(header: str) -> str:
    """The last one counts."""
    found = _CHANNEL.findall(header)
    return str(found[-1]) if found else ""


def _messages(reader: Reader, flow: Flow, context: ParserContext) -> Steps[None]:
    yield from _HarmonyReader(reader, flow, context).messages()


FLOW = Flow(
    dropped=(*_ENDS, _HEADER, "<|constrain|>"),
    thinking=ThinkingTags(_ANALYSIS, "<|end|>"),
    reads=_messages,
)
SYNTAX = CallSyntax(
    before="<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>",
    after="<|call|>",
    between="<|start|>assistant",
    controls=("<|channel|>", "<|constrain|>", "<|message|>", "<|call|>", "<|start|>"),
)
