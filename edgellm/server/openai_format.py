"""`response_format` and its kin: how requests in OpenAI's dialect ask for an output format, and the `Format` it means.

vLLM's fields (`structured_outputs`, the older `guided_*`) and llama-server's (`json_schema`, `grammar`) are here too.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from pydantic import Field

from edgellm.errors import RequestError
from edgellm.request import Format, GrammarFormat, JsonFormat, SchemaFormat
from edgellm.server.body import Body


class JsonSchema(Body):
    name: str = ""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """`schema` beside a `json_object` is llama-server's shorter way to write a `json_schema`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")

    def format(self) -> Format | None:
        if self.type == "text":
            return None
        if self.type == "json_object":
            return JsonFormat() if self.schema_ is None else SchemaFormat(self.schema_)
        if self.json_schema is None or self.json_schema.schema_ is None:
            raise RequestError("response_format of type 'json_schema' needs a 'json_schema' with a 'schema' in it.")
        return SchemaFormat(self.json_schema.schema_, bool(self.json_schema.strict))


class StructuredOutputs(Body):
    """vLLM's: one of these."""

    json_: dict[str, Any] | str | None = Field(default=None, alias="json")
    json_object: bool | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None

    def formats(self) -> list[Format]:
        found: list[Format] = []
        if self.json_ is not None:
            found.append(SchemaFormat(_schema(self.json_)))
        if self.json_object:
            found.append(JsonFormat())
        if self.regex is not None:
            found.append(GrammarFormat(self.regex, "regex"))
        if self.choice is not None:
            found.append(one_of(self.choice))
        if self.grammar is not None:
            found.append(grammar_of(self.grammar))
        return found


def only_one(formats: list[Format]) -> Format | None:
    """Raises RequestError where a body asks for several, which nobody could tell how to combine."""
    if len(formats) > 1:
        raise RequestError("The request asks for several output formats. Give only one of response_format and its kin.")
    return formats[0] if formats else None


def one_of(choices: list[str]) -> GrammarFormat:
    if not choices or not all(choices):
        raise RequestError("The choices must be a list of at least one text, none of them empty.")
    return GrammarFormat("|".join(re.escape(choice) for choice in choices), "regex")


def grammar_of(text: str) -> GrammarFormat:
    """A grammar in Lark's notation or, told by its `::=`, in GBNF. Raises RequestError where GBNF is malformed."""
    if "::=" not in text:
        return GrammarFormat(text)
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        return GrammarFormat(gbnf_to_lark(text))
    except Exception as error:  # its parser has errors of its own, and trips over what it does not expect
        raise RequestError(f"The GBNF grammar cannot be read: {' '.join(str(error).split())[:300]}.") from error


def _schema(given: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RequestError("The JSON schema must be a JSON object.") from error
