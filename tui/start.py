"""How the app begins: what the command line and the settings say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgellm.config import Settings
    from tui.opening import OpenModel
    from tui.server_control import ServerControl


@dataclass(frozen=True)
class Start:
    """`any_model`: the one used last may take the place of the setting's.

    `sampling` holds fields of `SamplingParams`; `folder` is where conversations are kept. `open_model` None does as the
    runtime does. `server` is called after the first paint.
    """

    settings: Settings
    folder: Path
    any_model: bool = True
    resume: bool = False
    system: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    thinking: bool | None = None
    open_model: OpenModel | None = None
    server: Callable[[], ServerControl] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What is given of `Options`, for the conversation that is shown first."""
        given = {"system": self.system, "sampling": self.sampling, "max_tokens": self.max_tokens}
        asked = {} if self.thinking is None else {"thinking": self.thinking}
        return {name: value for name, value in given.items() if value} | asked
