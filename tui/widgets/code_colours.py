"""Colours of code: few, taken from the theme, told apart by weight where colours are missing."""

from __future__ import annotations

from pygments.token import Token  # type: ignore[import-untyped]
from textual.highlight import HighlightTheme

TokenType = tuple[str, ...]


class CodeColours(HighlightTheme):
    STYLES = {  # noqa: RUF012 declared by its base
        Token.Comment: "$text-muted italic",
        Token.Keyword: "$code-keyword bold",
        Token.Keyword.Constant: "$code-number",
        Token.Literal.Number: "$code-number",
        Token.Literal.String: "$code-string",
        Token.Literal.String.Doc: "$text-muted italic",
        Token.Name.Function: "$code-name",
        Token.Name.Class: "$code-name bold",
        Token.Name.Decorator: "$code-name",
        Token.Name.Tag: "$code-keyword",
        Token.Name.Attribute: "$code-name",
        Token.Name.Builtin: "$code-keyword",
        Token.Operator.Word: "$code-keyword bold",
        Token.Generic.Deleted: "$text-error",
        Token.Generic.Inserted: "$text-success",
        Token.Generic.Heading: "bold",
        Token.Generic.Strong: "bold",
        Token.Generic.Emph: "italic",
        Token.Error: "",
    }
