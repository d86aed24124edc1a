"""Gemma 4 and FunctionGemma: `call:NAME{key:value}` with quotes of their own."""

from __future__ import annotations

from functools import partial

from edgellm.chat.reasoning import ThinkingTags
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.json_text import Notation
from edgellm.chat.tools.named_call import NamedSpelling, named_call
from edgellm.chat.tools.reader import Reader, Steps

_SPELLING_4 = NamedSpelling(
    before=("call:",), after=("<tool_call|>",), notation=Notation(raw=('<|"|>',), bare_keys=True)
)
_SPELLING_FUNCTION = NamedSpelling(
    before=("call:",), after=("<end_function_call>",), notation=Notation(raw=("<escape>",), bare_keys=True)
)


def _calls(reader: Reader, tools: DeclaredTools, spelling: NamedSpelling) -> Steps[None]:
    yield from named_call(reader, tools, spelling)


FLOW_4 = Flow(
    openings={"<|tool_call>": partial(_calls, spelling=_SPELLING_4)},
    closings=("<tool_call|>",),
    dropped=("<|channel>", "<channel|>", "<turn|>", "<|tool_response>"),
    thinking=ThinkingTags("<|channel>thought", "<channel|>"),
    thoughts_anywhere=True,
)
SYNTAX_4 = CallSyntax(
    before="<|tool_call>call:{name}{",
    after="}<tool_call|>",
    between="",
    arguments="bare",
    quote='<|"|>',
    controls=("<|tool_call>", "<tool_call|>", '<|"|>'),
)
FLOW_FUNCTION = Flow(
    openings={"<start_function_call>": partial(_calls, spelling=_SPELLING_FUNCTION)},
    closings=("<end_function_call>",),
    dropped=("<start_function_response>",),
)
SYNTAX_FUNCTION = CallSyntax(
    before="<start_function_call>call:{name}{",
    after="}<end_function_call>",
    between="",
    arguments="bare",
    quote="<escape>",
    controls=("<start_function_call>", "<end_function_call>", "<escape>"),
)
