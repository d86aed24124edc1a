"""`Family`: how a group of models writes thoughts and tool calls, found by their chat template."""

from __future__ import annotations

import msgspec

from edgellm.chat.reasoning import ThinkingTags, thinking_of
from edgellm.chat.tool_grammar import CallSyntax
from edgellm.chat.tools import (
    apertus,
    deepseek,
    functionary,
    gemma,
    glm,
    harmony,
    hermes,
    hunyuan,
    invoke,
    kimi,
    liquid,
    listed,
    llama,
    minimax_m3,
    mistral,
    muse,
    qwen_coder,
    solar,
)
from edgellm.chat.tools.flow import Flow, flow_parser
from edgellm.chat.tools.parser import Parser, ParserContext


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """`syntax` is how calls are written under a grammar; the parser takes more than that.

    `generic`: the template has no words for tools, so they must be described in a system message, and calls and
    results be told as text.
    """

    name: str
    flow: Flow
    syntax: CallSyntax
    generic: bool = False

    @property
    def thinking(self) -> ThinkingTags | None:
        return self.flow.thinking

    @property
    def markers(self) -> tuple[str, ...]:
        """Spellings that the parser must see in the text even where they are control tokens of the vocabulary."""
        tags = self.thinking
        found = (
            *self.flow.openings,
            *self.flow.closings,
            *self.flow.dropped,
            *self.syntax.controls,
            *((tags.opening, tags.closing) if tags else ()),
        )
        return tuple(dict.fromkeys(found))

    def parser(self, context: ParserContext) -> Parser:
        """A parser for one answer."""
        return flow_parser(self.flow, context)


def _family(name: str, flow: Flow, syntax: CallSyntax) -> Family:
    return Family(name=name, flow=flow, syntax=syntax)


# The first with all of its spellings in the template is taken.
_KNOWN: tuple[tuple[tuple[str, ...], Family], ...] = (
    (("<|channel|>", "<|call|>"), _family("harmony", harmony.FLOW, harmony.SYNTAX)),
    (("<|tool_call>", "<|channel>"), _family("gemma-4", gemma.FLOW_4, gemma.SYNTAX_4)),
    (("<start_function_call>",), _family("function-gemma", gemma.FLOW_FUNCTION, gemma.SYNTAX_FUNCTION)),
    (("[TOOL_CALLS]", "[ARGS]"), _family("mistral", mistral.FLOW, mistral.SYNTAX)),
    (("[TOOL_CALLS]",), _family("mistral-list", mistral.FLOW, mistral.LIST_SYNTAX)),
    (("\uff5cDSML\uff5c", "function_calls"), _family("deepseek-3.2", *invoke.dsml("function_calls"))),
    (("\uff5cDSML\uff5c",), _family("deepseek-4", *invoke.dsml("tool_calls"))),
    ((deepseek.CALLS, "```json"), _family("deepseek-r1", deepseek.FLOW, deepseek.FENCED_SYNTAX)),
    ((deepseek.CALLS,), _family("deepseek-3.1", deepseek.FLOW, deepseek.SYNTAX)),
    (("<|tool_call_argument_begin|>",), _family("kimi-k2", kimi.FLOW, kimi.SYNTAX)),
    (("<|open|>", "<|close|>"), _family("kimi-k3", kimi.K3_FLOW, kimi.K3_SYNTAX)),
    (("<seed:tool_call>",), _family("seed", qwen_coder.SEED_FLOW, qwen_coder.SEED_SYNTAX)),
    (("]<]minimax[>[",), _family("minimax-m3", minimax_m3.FLOW, minimax_m3.SYNTAX)),
    (("<minimax:tool_call>",), _family("minimax-m2", invoke.MINIMAX_FLOW, invoke.MINIMAX_SYNTAX)),
    (("<function name=", "<param"), _family("minicpm", invoke.MINICPM_FLOW, invoke.MINICPM_SYNTAX)),
    (("<tool_call>", "<arg_key>"), _family("glm", glm.FLOW, glm.SYNTAX)),
    (("<tool_call>", "<function="), _family("qwen-coder", qwen_coder.FLOW, qwen_coder.SYNTAX)),
    (("<TOOLCALL>",), _family("nemotron-2", listed.NEMOTRON_FLOW, listed.NEMOTRON_SYNTAX)),
    (("<|START_ACTION|>",), _family("command", listed.COMMAND_FLOW, listed.COMMAND_SYNTAX)),
    (("Action:", "tool_name"), _family("command-plus", listed.COMMAND_PLUS_FLOW, listed.COMMAND_PLUS_SYNTAX)),
    (("<tool_call{}>", ":opensource"), _family("hunyuan", hunyuan.FLOW, hunyuan.SYNTAX)),
    (("<|tool_call:begin|>",), _family("solar", solar.FLOW, solar.SYNTAX)),
    (("<atem:invoke",), _family("muse", muse.FLOW, muse.SYNTAX)),
    (("<|tools_prefix|>",), _family("apertus", apertus.FLOW, apertus.SYNTAX)),
    (("<|tool_call_start|>",), _family("lfm", liquid.FLOW, liquid.SYNTAX)),
    (("List of tools: ",), _family("lfm", liquid.FLOW, liquid.SYNTAX)),
    (("<|function_call|>",), _family("gigachat-3.1", listed.GIGACHAT_31_FLOW, listed.GIGACHAT_31_SYNTAX)),
    (("'function call'", "<|role_sep|>"), _family("gigachat", listed.GIGACHAT_FLOW, listed.GIGACHAT_SYNTAX)),
    (("<tool_calls>", "<tool_calls>["), _family("apriel", listed.TOOL_CALLS_FLOW, listed.APRIEL_SYNTAX)),
    (("<tool_calls>",), _family("minimax-m1", listed.TOOL_CALLS_FLOW, listed.MINIMAX_1_SYNTAX)),
    (("functools",), _family("firefunction", listed.FIREFUNCTION_FLOW, listed.FIREFUNCTION_SYNTAX)),
    ((">>>all",), _family("functionary-3.2", functionary.FLOW_32, functionary.SYNTAX_32)),
    (("<function=", "<|python_tag|>"), _family("functionary-3.1", functionary.FLOW_31, functionary.SYNTAX_31)),
    (("<tool_call>",), _family("hermes", hermes.FLOW, hermes.SYNTAX)),
    (("<|tool_call|>",), _family("granite", listed.GRANITE_FLOW, listed.GRANITE_SYNTAX)),
    (("<|python_tag|>",), _family("llama", llama.FLOW, llama.SYNTAX)),
    (("<|start_header_id|>", '"parameters": '), _family("llama", llama.FLOW, llama.SYNTAX)),
    (("<|header_start|>",), _family("llama-python", llama.FLOW, llama.PYTHON_SYNTAX)),
)
_GENERIC = Family(name="generic", flow=hermes.GENERIC_FLOW, syntax=hermes.SYNTAX, generic=True)

FAMILIES: tuple[Family, ...] = (*{family.name: family for _, family in _KNOWN}.values(), _GENERIC)


def family_of(template: str) -> Family:
    """By the spellings in the source of a chat template; the generic family where it knows of no tools."""
    found = next((family for marks, family in _KNOWN if all(mark in template for mark in marks)), _GENERIC)
    thinking = found.flow.thinking or thinking_of(template)
    return msgspec.structs.replace(found, flow=msgspec.structs.replace(found.flow, thinking=thinking))
