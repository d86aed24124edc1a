"""`written_call`: a tool call as a family of models writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgellm.chat.tool_grammar import CallSyntax

_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", type(None): "null"}


def written_call(syntax: CallSyntax, name: str, arguments: Mapping[str, Any]) -> str:
    """One call with all that stands around calls; its parser reads it back."""
    quoted = json.dumps(name, ensure_ascii=False)[1:-1]
    before, after = (text.replace("{name}", quoted) for text in (syntax.before, syntax.after))
    return f"{syntax.opening}{before}{written_arguments(syntax, arguments)}{after}{syntax.closing}"


def written_arguments(syntax: CallSyntax, arguments: Mapping[str, Any]) -> str:
    match syntax.arguments:
        case "json":
            return _json(arguments)
        case "xml":
            return "".join(_element(syntax.element, key, value) for key, value in arguments.items())
        case "python":
            return ", ".join(f"{key}={_python(value)}" for key, value in arguments.items())
        case "bare":
            return ",".join(f"{key}:{_bare(syntax.quote, value)}" for key, value in arguments.items())


def _element(element: tuple[str, str], key: str, value: Any) -> str:
    text = isinstance(value, str)
    opening, closing = (
        part.replace("{type}", _TYPES.get(type(value), "object"))
        .replace("{is_text}", str(text).lower())
        .replace("{key}", key)
        for part in element
    )
    return f"{opening}{value if text else _json(value)}{closing}"


def _python(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_json(key)}: {_python(item)}" for key, item in value.items()) + "}"
        case list():
            return f"[{', '.join(map(_python, value))}]"
        case bool() | None:
            return str(value)
        case _:
            return _json(value)


def _bare(quote: str, value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{key}:{_bare(quote, item)}" for key, item in value.items()) + "}"
        case list():
            return f"[{','.join(_bare(quote, item) for item in value)}]"
        case str() if quote not in value:
            return f"{quote}{value}{quote}"
        case _:
            return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
