"""What feeds this computer and whether heat slows it down."""

from __future__ import annotations

import msgspec


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """The battery of a computer that has one; `percent` is its charge, None where it is not told."""

    on_battery: bool
    percent: float | None = None
