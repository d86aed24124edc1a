"""Tools in OpenAI's chat dialect, both ways of asking for them: `tools` and the older `functions`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from edgellm.errors import RequestError
from edgellm.messages import Tool, ToolCall
from edgellm.server.body import Body

Mode = Literal["none", "auto", "required"]


class FunctionCall(Body):
    """`arguments` is JSON as text; some clients send the object itself."""

    name: str
    arguments: str | dict[str, Any] = ""

    def call(self, id: str) -> ToolCall:
        given = self.arguments
        return ToolCall(id, self.name, given if isinstance(given, str) else msgspec.json.encode(given).decode())


class ToolCallBody(Body):
    id: str = ""
    function: FunctionCall


class Function(Body):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.parameters or {}, bool(self.strict))


class ToolBody(Body):
    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    name: Annotated[str, Field(min_length=1)]


class NamedTool(Body):
    function: NamedFunction


class AllowedTools(Body):
    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class OnlyAllowed(Body):
    """Some of the tools, as if there were no others."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class ToolOptions(Body):
    """The fields of a chat request that are about tools."""

    tools: list[ToolBody] | None = None
    tool_choice: Mode | OnlyAllowed | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: Mode | NamedFunction | None = None

    @property
    def old_fashioned(self) -> bool:
        """Whether the answer must say `function_call` for a call."""
        return bool(self.functions) and not self.tools

    def tool_fields(self) -> dict[str, Any]:
        """The fields of `ChatRequest` that are about tools. Raises RequestError."""
        return {
            "tools": self._offered(),
            "tool_choice": self._choice(),
            "parallel_tool_calls": False if self.old_fashioned else self.parallel_tool_calls,
        }

    def _offered(self) -> tuple[Tool, ...]:
        functions = [tool.function for tool in self.tools or ()] + (self.functions or [])
        tools = tuple(function.tool() for function in functions)
        if not isinstance(self.tool_choice, OnlyAllowed):
            return tools
        allowed = {tool.function.name for tool in self.tool_choice.allowed_tools.tools}
        if unknown := allowed - {tool.name for tool in tools}:
            raise RequestError(f"tool_choice allows {min(unknown)[:100]!r}, which is not among the tools.")
        return tuple(tool for tool in tools if tool.name in allowed)

    def _choice(self) -> str:
        choice = self.tool_choice if self.tool_choice is not None else self.function_call
        match choice:
            case OnlyAllowed():
                return choice.allowed_tools.mode
            case NamedTool():
                return choice.function.name
            case NamedFunction():
                return choice.name
        return choice or "auto"
