"""`tool_grammar`: the grammar under which an answer is nothing but calls of given tools, in the model's own syntax."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from edgellm.backends.base import Vocabulary
from edgellm.chat.schema import fitted
from edgellm.chat.tool_schema import naming, object_schema
from edgellm.errors import RequestError
from edgellm.messages import Tool
from edgellm.request import GrammarFormat

_MOST_MORE = 15  # calls behind the first: a small model may not stop by itself


class CallSyntax(msgspec.Struct, frozen=True, kw_only=True):
    """How a family of models writes calls: `opening`, the calls with `between` among them, `closing`.

    A call is `before`, its arguments, `after`; `{name}` in those two is the tool's name. Arguments are a JSON object;
    or, for "xml", one element a parameter, its value between the two texts of `element` (where `{key}` is the
    parameter's name, `{type}` its JSON type and `{is_text}` whether that is a string); or, for "python",
    `name=value` with commas; or, for "bare", `name:value` with commas and strings between `quote`s.
    `controls` lists spellings within those texts that may be single control tokens of the vocabulary.
    """

    before: str
    after: str
    opening: str = ""
    closing: str = ""
    between: str = "\n"
    arguments: Literal["json", "xml", "python", "bare"] = "json"
    element: tuple[str, str] = ("<parameter={key}>\n", "\n</parameter>\n")
    quote: str = ""
    controls: tuple[str, ...] = ()


def tool_grammar(
    tools: Sequence[Tool],
    choice: str,
    syntax: CallSyntax,
    *,
    parallel: bool = True,
    otherwise: str = "",
    control: Callable[[str], int | None] = lambda spelling: None,
) -> GrammarFormat:
    """A Lark grammar for one call or, if `parallel`, several of `tools` ("required") or of the tool named `choice`.

    What `otherwise` says, in Lark's notation, is allowed instead of all calls, if it says anything.
    `control` gives the id of the control token that is spelled so, or None where the vocabulary has it as plain text.
    Parameters' schemas are enforced as far as they can be. Raises RequestError for a tool that is not there, or whose
    schema is malformed. May take milliseconds a tool: not for the event loop where tools are many.
    """
    chosen = [tool for tool in tools if choice in ("required", tool.name)]
    if not chosen:
        raise RequestError(f"tool_choice asks for {choice!r}, which is not among the tools; name one of them.")
    writer = _Writer(syntax, control)
    names = [writer.call(index, tool) for index, tool in enumerate(chosen)]
    more = f"({writer.text(syntax.between)} call){{0,{_MOST_MORE}}}" if parallel else ""
    calls = f"calls: {writer.text(syntax.opening)} call {more} {writer.text(syntax.closing)}"
    start = f"start: calls | ({otherwise})" if otherwise else "start: calls"
    return GrammarFormat("\n".join([start, calls, f"call: {' | '.join(names)}", *writer.rules]), "lark")


def control_of(vocabulary: Vocabulary) -> Callable[[str], int | None]:
    """What `tool_grammar` asks for: a control token's id by its spelling."""

    def control(spelling: str) -> int | None:
        ids = vocabulary.tokenize(spelling, special=True, add_bos=False)
        silent = ids and not vocabulary.piece(ids[-1])
        return ids[-1] if silent and vocabulary.piece(ids[-1], special=True) == spelling.encode() else None

    return control


class _Writer:
    """Collects the rules of a grammar's calls."""

    def __init__(self, syntax: CallSyntax, control: Callable[[str], int | None]) -> None:
        self.rules: list[str] = []
        self._syntax = syntax
        self._ids = {spelling: id for spelling in syntax.controls if (id := control(spelling)) is not None}
        self._cut = re.compile("|".join(map(re.escape, self._ids)) or "(?!)")

    def call(self, index: int, tool: Tool) -> str:
        """Adds the rules for one tool; the name of its rule."""
        rule, name = f"call_{index}", json.dumps(tool.name, ensure_ascii=False)[1:-1]
        before, after = (self.text(part.replace("{name}", name)) for part in (self._syntax.before, self._syntax.after))
        with naming(tool):
            inside = self._arguments(rule, object_schema(tool.parameters))
        self.rules.append(f"{rule}: {before} {inside} {after}")
        return rule

    def _arguments(self, rule: str, schema: dict[str, Any]) -> str:
        match self._syntax.arguments:
            case "json":
                return _json(schema)
            case "xml":
                return " ".join(self._elements(rule, schema))
            case "python":
                return self._keywords(rule, schema, "=", ", ")
            case "bare":
                return self._keywords(rule, schema, ":", ",")

    def text(self, text: str) -> str:
        """`text` as literals, control tokens by their ids; nothing for an empty one."""
        parts, at = [], 0
        for found in self._cut.finditer(text):
            parts += [_literal(text[at : found.start()]), f"<[{self._ids[found[0]]}]>"]
            at = found.end()
        return " ".join(part for part in (*parts, _literal(text[at:])) if part)

    def _elements(self, rule: str, schema: dict[str, Any]) -> Iterator[str]:
        for index, (name, value, required) in enumerate(_parameters(schema)):
            element, words = f"{rule}_{index}", _words(value)
            bare = is_bare(value)
            opening, closing = (
                text.replace("{type}", "string" if bare else str(value.get("type", "object")))
                .replace("{is_text}", str(bare).lower())
                .replace("{key}", name)
                for text in self._syntax.element
            )
            if _is_text(value):
                inside = self._free(element, closing)
            else:
                inside = f"{words or _json(value, schema)} {self.text(closing)}"
            self.rules.append(f"{element}: {self.text(opening)} {inside}")
            yield element if required else f"{element}?"

    def _free(self, rule: str, ending: str) -> str:
        """Any text, and the `ending` that it goes up to: its first control token or, without one, all of it."""
        control = self._cut.search(ending)
        before, after = (ending[: control.start()], ending[control.start() :]) if control else (ending, "")
        if control and not before:
            self.rules.append(f"{rule}_text: /(?s:.+)/")
            return f"{rule}_text? {self.text(after)}"
        lazy = "" if control else "[lazy]"
        self.rules.append(f"{rule}_text{lazy}: /(?s:.*){_pattern(before)}/")
        return f"{rule}_text {self.text(after)}"

    def _keywords(self, rule: str, schema: dict[str, Any], equals: str, comma: str) -> str:
        """Required ones first, then any of the others in their order, commas only between."""
        parameters = sorted(_parameters(schema), key=lambda parameter: not parameter[2])
        rests = [f"{rule}_rest_{index}" for index in range(len(parameters) + 1)]
        for index, (name, value, required) in enumerate(parameters):
            own = self._python(value, schema) if equals == "=" else self._quoted(f"{rule}_{index}", value, schema)
            self.rules.append(f"{rule}_{index}: {_literal(name + equals)} {own}")
            self.rules.append(
                f"{rests[index]}: {_literal(comma)} {rule}_{index} {rests[index + 1]}"
                + ("" if required else f" | {rests[index + 1]}")
            )
            self.rules.append(
                f"{rule}_from_{index}: {rule}_{index} {rests[index + 1]}"
                + ("" if required else f" | {rule}_from_{index + 1}")
            )
        self.rules += [f'{rests[-1]}: ""', f'{rule}_from_{len(parameters)}: ""']
        return f"{rule}_from_0"

    def _python(self, value: dict[str, Any], root: dict[str, Any]) -> str:
        kinds = value.get("type")
        if kinds == "boolean":
            return '("True" | "False")'
        if kinds in ("string", "integer", "number") or value.keys() - _SAYS_NOTHING:
            return _json(value, root)
        if not any("python_value:" in rule for rule in self.rules):
            self.rules += _PYTHON_VALUES
        return {"array": "python_list", "object": "python_dict"}.get(str(kinds), "python_value")

    def _quoted(self, rule: str, value: dict[str, Any], root: dict[str, Any]) -> str:
        quote = self.text(self._syntax.quote)
        if _is_text(value):
            return f"{quote} {self._free(rule, self._syntax.quote)}"
        words = _words(value)
        return f"{quote} {words} {quote}" if words else _json(value, root)


_SAYS_NOTHING = {"type", "description", "title", "default", "examples"}

_PYTHON_VALUES = (
    'python_value: python_string | python_number | "True" | "False" | "None" | python_list | python_dict',
    'python_list: "[" (python_value (", " python_value)*)? "]"',
    'python_dict: "{" (python_item (", " python_item)*)? "}"',
    'python_item: python_string ": " python_value',
    'python_string: %json {"type": "string"}',
    'python_number: %json {"type": "number"}',
)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _pattern(text: str) -> str:
    """`text` within a regular expression of Lark's."""
    return re.sub(r"[\\.+*?()|\[\]{}^$/]", r"\\\g<0>", text).replace("\n", r"\n")


def _json(schema: dict[str, Any], root: dict[str, Any] | None = None) -> str:
    """A piece of JSON by `schema`, whose references lead into `root`."""
    shared = {key: root[key] for key in ("$defs", "definitions") if root and key in root}
    return "%json " + json.dumps(fitted(shared | schema, strict=False).schema, ensure_ascii=False)


def _parameters(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any], bool]]:
    """Name, schema, and whether it must be there."""
    required = schema.get("required", ())
    properties = schema["properties"] if isinstance(schema["properties"], dict) else {}
    return [(name, value if isinstance(value, dict) else {}, name in required) for name, value in properties.items()]


def is_bare(value: dict[str, Any]) -> bool:
    """Whether an element holds such a value as it is, not as JSON."""
    return _is_text(value) or _words(value) is not None


def _is_text(value: dict[str, Any]) -> bool:
    return value.get("type") == "string" and "enum" not in value and "const" not in value


def _words(value: dict[str, Any]) -> str | None:
    """An enumeration of strings, which stand bare there."""
    words = value.get("enum", [value["const"]] if "const" in value else [])
    if words and all(isinstance(word, str) and word for word in words):
        return f"({' | '.join(map(_literal, words))})"
    return None
