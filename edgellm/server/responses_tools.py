"""The tools of a response: functions and custom ones, alone or in a namespace; not those that run at OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from edgellm.errors import RequestError, Unsupported
from edgellm.messages import Tool
from edgellm.server.body import Body

_HOSTED = (
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_preview",
)
INPUT = "input"
"""The one parameter of the function that a custom tool is to the model: a text of any form."""
_FREE = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}


class ToolBody(Body):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None  # of what is written to a custom tool
    tools: list[ToolBody] | None = None  # those of a namespace

    @property
    def grammar(self) -> str:
        """The grammar that a custom tool's input shall follow, if it names one."""
        form = self.format or {}
        return str(form.get("definition", "")) if form.get("type") == "grammar" else ""

    def tool(self, name: str) -> Tool:
        """As the model knows it, by this name. Raises Unsupported for a type that nobody knows."""
        about = self.description or ""
        if self.type == "custom":
            told = f"{about}\n\nIts input follows this grammar:\n{self.grammar}" if self.grammar else about
            return Tool(name, told.strip(), _FREE)
        if self.type != "function":
            raise Unsupported(f"Tools of type {self.type[:50]!r} are not supported. Send functions.")
        return Tool(name, about, self.parameters or {}, bool(self.strict))

    def needed_name(self) -> str:
        if not self.name:
            raise RequestError(f"A tool of type {self.type!r} needs a 'name' field.")
        return self.name


class ChosenTool(Body):
    """A named tool, or those that are allowed this time."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[ToolBody] | None = None


class Place(msgspec.Struct, frozen=True):
    """What a client calls a tool that the model knows by one name."""

    name: str
    namespace: str = ""
    custom: bool = False

    @property
    def inner(self) -> str:
        return f"{self.namespace}__{self.name}" if self.namespace else self.name


class Offered(msgspec.Struct, frozen=True):
    """`places` are by the names in `tools`; `warnings` name what the model is not told of."""

    tools: tuple[Tool, ...] = ()
    places: dict[str, Place] = {}
    warnings: tuple[str, ...] = ()

    def only(self, names: set[str | None]) -> tuple[Tool, ...]:
        """Those that the client calls so."""
        return tuple(tool for tool in self.tools if self.places[tool.name].name in names)


def offered(bodies: Sequence[ToolBody]) -> Offered:
    """Raises RequestError and Unsupported."""
    found: list[tuple[Tool, Place]] = []
    warnings: dict[str, None] = {}
    for body in bodies:
        if body.type.startswith(_HOSTED):
            warnings[f"Tools of type {body.type[:50]!r} run at OpenAI's: the model is not told of them."] = None
            continue
        for each, place in _named(body):
            found.append((each.tool(place.inner), place))
            if place.custom and each.grammar:
                warnings[f"The grammar of tool {place.name[:64]!r} is told to the model, and not enforced."] = None
    return Offered(tuple(tool for tool, _ in found), {place.inner: place for _, place in found}, tuple(warnings))


def _named(body: ToolBody) -> Iterator[tuple[ToolBody, Place]]:
    if body.type != "namespace":
        yield body, Place(body.needed_name(), "", body.type == "custom")
        return
    for each in body.tools or ():
        yield each, Place(each.needed_name(), body.needed_name(), each.type == "custom")
