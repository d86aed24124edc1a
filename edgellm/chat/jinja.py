"""Jinja as Hugging Face's chat templates expect it, rendered by minijinja with bounded work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import minijinja

from edgellm.errors import TemplateError

# About a second of work; real templates spend some hundred units a message.
FUEL = 10_000_000

# `{% generation %}` marks what is trained on. Jinja gives the block a scope of its own, as `with` has.
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")


class JinjaTemplate:
    """One template, compiled anew for each rendering (well under a millisecond); used by any thread.

    Names that start with an underscore are out of its reach, so give it plain data only. A hostile template can still
    ask for more memory or native stack than there is: render where a crash is affordable.
    """

    def __init__(self, source: str, now: Callable[[], datetime]) -> None:
        self._source = _GENERATION.sub(r"{%\1 \2with \3%}", source)
        self._environment = minijinja.Environment(
            debug=False,
            fuel=FUEL,
            trim_blocks=True,
            lstrip_blocks=True,
            filters={"tojson": _tojson},
            tests={"iterable": lambda value: isinstance(value, Iterable)},  # minijinja calls None iterable
            globals={"raise_exception": _raise_exception, "strftime_now": lambda form: now().strftime(form)},
        )

    def render(self, context: Mapping[str, Any]) -> str:
        """Raises TemplateError for what the template refuses, does wrong, or takes too long for."""
        try:
            return self._environment.render_str(self._source, "chat template", **context)
        except TemplateError:
            raise
        except minijinja.TemplateError as error:
            raise TemplateError(_explain(error)) from error
        except Exception as error:  # out of the Python methods and functions that a template may call
            raise TemplateError(f"The model's chat template failed: {type(error).__name__}: {error}") from error


def _explain(error: minijinja.TemplateError) -> str:
    if error.kind == "OutOfFuel":
        return f"The model's chat template did not end after {FUEL:,} steps; give another template."
    if error.kind == "SyntaxError":
        return f"The model's chat template cannot be read: {error.message}. Give another template or a raw prompt."
    return f"The model's chat template failed: {error.message}"


def _raise_exception(message: object = "") -> NoReturn:
    raise TemplateError(f"The model's chat template refuses these messages: {message}")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Sequence[str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face defines it, in place of Jinja's own, which escapes for HTML."""
    pair = (separators[0], separators[1]) if separators else None
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=pair, sort_keys=sort_keys)
