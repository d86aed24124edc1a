"""Answers as llama.cpp's own tests have them are read to the same messages, and its templates are recognized."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edgellm.chat.template import ChatTemplate
from edgellm.chat.tools.family import Family, family_of
from edgellm.chat.tools.parser import CallArguments, CallStart, Content, ParserContext, Piece, Thought
from edgellm.messages import Message, Tool, ToolCall, ToolResult, user

HERE = Path(__file__).parent / "llama_cpp"
DATA = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
TOOLS = {key: Tool(name, parameters=parameters) for key, (name, parameters) in DATA["tools"].items()}
with zipfile.ZipFile(HERE / "templates.zip") as archive:
    TEMPLATES = {name.removesuffix(".jinja"): archive.read(name).decode() for name in archive.namelist()}
Case = dict[str, Any]
WORDS = {"datetime": "2026-01-01", "functions": "[]"}  # one template asks for them


@cache
def prompt(template: str, tools: tuple[str, ...], thinking: bool) -> str:
    return ChatTemplate(TEMPLATES[template], "", "").render(
        [user("Hey there!")],
        tools=[TOOLS[key] for key in tools],
        template_args=WORDS | {"enable_thinking": thinking},
    )


def context(case: Case, family: Family) -> ParserContext:
    tools = tuple(case.get("tools", ()))
    if "continues" in case:
        opened = case["continues"] == "reasoning"
    else:
        rendered = prompt(case["template"], tools, case.get("thinking", True))
        opened = bool(family.thinking and family.thinking.open_in(rendered))
    return ParserContext(
        tools=tuple(TOOLS[key] for key in tools),
        thinking_open=opened,
        split_thinking=case.get("split", True),
        parse_tools=case.get("choice") != "none",
    )


def message(pieces: Sequence[Piece]) -> dict[str, Any]:
    """As the cases have it, without what is empty."""
    texts = {Content: "", Thought: ""}
    calls: list[list[str]] = []
    for piece in pieces:
        match piece:
            case Content(text=text) | Thought(text=text):
                texts[type(piece)] += text
            case CallStart(name=name, id=id):
                calls.append([name, "", id])
            case CallArguments(text=text):
                calls[-1][1] += text
    return normal({"content": texts[Content], "reasoning": texts[Thought], "calls": calls})


def normal(expected: dict[str, Any]) -> dict[str, Any]:
    found = {key: expected.get(key, "").strip() for key in ("content", "reasoning")}
    found["calls"] = [[name, _decoded(arguments), id] for name, arguments, id in expected.get("calls", ())]
    return {key: value for key, value in found.items() if value}


def _decoded(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments.strip()


def read(case: Case, size: int) -> list[Piece]:
    family = family_of(TEMPLATES[case["template"]])
    parser, text = family.parser(context(case, family)), case["input"]
    pieces = [piece for start in range(0, len(text), size) for piece in parser.feed(text[start : start + size])]
    return pieces if case.get("partial") else [*pieces, *parser.finish()]


@pytest.mark.parametrize("template", sorted({case["template"] for case in DATA["cases"]}))
def test_answers_are_read_as_llama_cpp_reads_them(template: str) -> None:
    for case in DATA["cases"]:
        if case["template"] != template:
            continue
        found, expected = message(read(case, 10**6)), normal(case["expect"])
        assert (found == expected) != ("differs" in case), (case, found)
        assert message(read(case, 1)) == message(read(case, 7)) == found


FAMILIES = {
    "hermes": ("Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "NousResearch-Hermes-3-Llama-3.1-8B-tool_use"),
    "qwen-coder": ("Qwen3-Coder", "Qwen3.5-4B", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "StepFun3.5-Flash"),
    "llama": ("meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct"),
    "mistral": ("Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Ministral-3-14B-Reasoning-2512"),
    "mistral-list": ("mistralai-Mistral-Nemo-Instruct-2407",),
    "harmony": ("openai-gpt-oss-120b",),
    "gemma-4": ("google-gemma-4-31B-it",),
    "deepseek-r1": ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "llama-cpp-deepseek-r1"),
    "deepseek-3.1": ("deepseek-ai-DeepSeek-V3.1",),
    "glm": ("GLM-4.6", "Spark2.5", "poolside-Laguna-S-2.1"),
    "granite": ("ibm-granite-granite-3.3-2B-Instruct",),
    "lfm": ("LFM2-8B-A1B", "LFM2.5-Instruct"),
    "generic": ("google-gemma-2-2b-it", "microsoft-Phi-3.5-mini-instruct", "llama-cpp-rwkv-world"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_templates_tell_the_family(name: str) -> None:
    assert {template: family_of(TEMPLATES[template]).name for template in FAMILIES[name]} == dict.fromkeys(
        FAMILIES[name], name
    )


CALL = ToolCall("a1B2c3D4e", "special_function", '{"arg1": 12345}')
CONVERSATION = (user("Hey"), Message("assistant", (CALL,)), Message("tool", (ToolResult(CALL.id, "the result"),)))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_call_as_the_template_renders_it_is_read(name: str) -> None:
    template, tool = ChatTemplate(TEMPLATES[name], "", ""), TOOLS["special_function"]
    text = template.render(CONVERSATION, tools=[tool], template_args=WORDS)
    assert "the result" in text
    turn = text[text.rindex("Hey") + 3 :].removeprefix("<|eot_id|><|start_header_id|>assistant<|end_header_id|>")
    parser = template.family.parser(ParserContext(tools=(tool,)))
    pieces = [*parser.feed(turn), *parser.finish()]
    assert [piece.name for piece in pieces if isinstance(piece, CallStart)] == ["special_function"]
    arguments = "".join(piece.text for piece in pieces if isinstance(piece, CallArguments))
    assert json.loads(arguments) == {"arg1": 12345}
