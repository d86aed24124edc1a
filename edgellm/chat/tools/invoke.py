"""`<invoke name="NAME"><parameter name="KEY">value</parameter></invoke>`: MiniMax M2, DeepSeek V3.2, MiniCPM5."""

from __future__ import annotations

from functools import partial

import msgspec

from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools.declared import DeclaredTools
from edgellm.chat.tools.element_call import Elements, element_call
from edgellm.chat.tools.flow import Flow
from edgellm.chat.tools.reader import Mismatch, Reader, Steps

_DSML = "\uff5cDSML\uff5c"


class Invoke(msgspec.Struct, frozen=True, kw_only=True):
    """`opening`, calls, `closing`; a call begins with `call` NAME `call_end`. Without `opening`, with `call` itself."""

    opening: str = ""
    closing: str = ""
    call: str
    call_end: str = '">'
    elements: Elements


def _listed(reader: Reader, tools: DeclaredTools, spelling: Invoke) -> Steps[None]:
    yield from reader.space()
    calls = 0
    while (yield from reader.skip(spelling.call)):
        yield from _invoked(reader, tools, spelling)
        yield from reader.space()
        calls += 1
    if not calls:
        raise Mismatch
    yield from reader.skip(spelling.closing)


def _invoked(reader: Reader, tools: DeclaredTools, spelling: Invoke) -> Steps[None]:
    name = yield from tools.read_name(reader)
    yield from reader.expect(spelling.call_end)
    yield from element_call(reader, tools, name, spelling.elements)


def _flow(spelling: Invoke) -> Flow:
    calls = partial(_listed if spelling.opening else _invoked, spelling=spelling)
    closings = (*filter(None, [spelling.closing]), *spelling.elements.end)
    return Flow(
        openings={spelling.opening or spelling.call: calls},
        closings=closings,
        calls_end_thoughts=True,
    )


_MINIMAX = Invoke(
    opening="<minimax:tool_call>",
    closing="</minimax:tool_call>",
    call='<invoke name="',
    elements=Elements(
        key='<parameter name="',
        key_end=('">',),
        value_end="</parameter>",
        exact_end="</parameter>\n",
        end=("</invoke>",),
    ),
)
MINIMAX_FLOW = _flow(_MINIMAX)
MINIMAX_SYNTAX = CallSyntax(
    opening="<minimax:tool_call>\n",
    closing="\n</minimax:tool_call>",
    before='<invoke name="{name}">\n',
    after="</invoke>",
    arguments="xml",
    element=('<parameter name="{key}">', "</parameter>\n"),
    controls=("<minimax:tool_call>", "</minimax:tool_call>"),
)


def dsml(word: str) -> tuple[Flow, CallSyntax]:
    """DeepSeek's markup language; versions differ in the `word` for the list of calls."""
    spelling = Invoke(
        opening=f"<{_DSML}{word}>",
        closing=f"</{_DSML}{word}>",
        call=f'<{_DSML}invoke name="',
        elements=Elements(
            key=f'<{_DSML}parameter name="',
            key_end=('" string="false">', '">'),
            text_key_end=('" string="true">',),
            value_end=f"</{_DSML}parameter>",
            exact_end=f"</{_DSML}parameter>\n",
            end=(f"</{_DSML}invoke>",),
        ),
    )
    syntax = CallSyntax(
        opening=f"<{_DSML}{word}>\n",
        closing=f"\n</{_DSML}{word}>",
        before=f'<{_DSML}invoke name="{{name}}">\n',
        after=f"</{_DSML}invoke>",
        arguments="xml",
        element=(f'<{_DSML}parameter name="{{key}}" string="{{is_text}}">', f"</{_DSML}parameter>\n"),
        controls=(_DSML,),
    )
    return _flow(spelling), syntax


_MINICPM = Invoke(
    call='<function name="',
    elements=Elements(
        key='<param name="',
        key_end=('">',),
        value_end="</param>",
        exact_end="</param>",
        end=("</function>",),
    ),
)
MINICPM_FLOW = _flow(_MINICPM)
MINICPM_SYNTAX = CallSyntax(
    before='<function name="{name}">',
    after="</function>",
    arguments="xml",
    element=('<param name="{key}">', "</param>"),
    controls=("<function", "</function>", "<param", "</param>"),
)
