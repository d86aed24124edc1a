"""Why a model is loaded as it is: which one and whence, by which backend, how quantized, with how many threads."""

from __future__ import annotations

import msgspec

from edgellm.config import Settings
from edgellm.machine.machine import Machine
from edgellm.runtime.chosen_backend import Chosen
from edgellm.runtime.locate import Located
from edgellm.runtime.planned import Planned
from edgellm.runtime.threads import saves_power, threads


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, each with its reason, in words for people."""

    model: str
    backend: str
    quantization: str
    threads: str
    plan: tuple[str, ...] = ()
    """Of memory, context and speed; empty where the model's header told nothing."""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """What each is about, and the words."""
        first = (("model", self.model), ("backend", self.backend), ("quantization", self.quantization))
        return (*first, ("threads", self.threads), *(("", reason) for reason in self.plan))


def explained(
    found: Located, backend: Chosen, planned: Planned | None, settings: Settings, machine: Machine
) -> Explanation:
    """Of a model that lies on this machine."""
    return Explanation(
        model=f"{found.name}: {found.reason.rstrip('.') or 'the one that was named'}",
        backend=backend.reason if backend.reason.startswith(backend.name) else f"{backend.name}: {backend.reason}",
        quantization=_quantization(found, planned),
        threads=_threads(settings, machine),
        plan=planned.plan.reasons[1:] if planned is not None else (),  # the first is the backend's
    )


def _quantization(found: Located, planned: Planned | None) -> str:
    kept = planned.facts.quantization if planned is not None else ""
    entry = found.entry
    if entry is not None and entry.asked:
        return f"{entry.asked}: it was asked for, or is how the model comes for this backend"
    if entry is not None:
        return f"{kept or entry.quantization}: the one to take unless another is asked for"
    return f"{kept or 'unknown'}: what the {'folder' if found.path.is_dir() else 'file'} holds"


def _threads(settings: Settings, machine: Machine) -> str:
    count = threads(settings, machine)
    if settings.threads:
        return f"{count}: the settings say so"
    if saves_power(settings, machine):
        return f"{count}: half of the {machine.threads} fast cores, to save the battery"
    return f"{count}: one for each fast core that this process may use"
