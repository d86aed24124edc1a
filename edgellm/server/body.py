"""What the JSON bodies of every dialect have in common: strict types, sampling within its ranges, and sound text."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, model_validator

from edgellm.errors import RequestError
from edgellm.request import SamplingParams


class Body(BaseModel):
    """Strict about the types it knows; what it does not know is ignored, as peers do."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class RequestBody(Body):
    """The whole body of a request."""

    @model_validator(mode="before")
    @classmethod
    def _is_sound(cls, value: Any) -> Any:
        """A request travels on as UTF-8: what cannot be written again (half a surrogate pair, say) is refused here."""
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError as error:
            raise ValueError("a string holds half of a surrogate pair") from error
        except (OverflowError, RecursionError) as error:
            raise ValueError("a number is too long or the nesting too deep") from error
        return value


def sampled(recommended: SamplingParams, given: dict[str, Any]) -> SamplingParams:
    """`recommended`, but for what is `given` and not None. Raises RequestError for a value out of range."""
    params = msgspec.structs.replace(recommended, **{name: value for name, value in given.items() if value is not None})
    problem = params.problem()
    if problem is not None:
        raise RequestError(f"{problem[0].upper()}{problem[1:]}.")
    return params


def stops(given: str | list[str] | None) -> tuple[str, ...]:
    """Stop strings; empty ones stop nothing."""
    words = [given] if isinstance(given, str) else given or []
    return tuple(word for word in words if word)


def drawn(seed: int | None) -> int | None:
    """A seed below 2**64; -1 means any."""
    return None if seed in (None, -1) else seed % 2**64
