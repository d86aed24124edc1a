"""A proposer whose own errors end the guessing, and never a request: guesses only ever save time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import ParamSpec, TypeVar

import msgspec

from edgellm.engine.sequence import Sequence
from edgellm.engine.speculative.proposer import NoProposer, Proposer, StepRecord
from edgellm.model import SpeculationStatus
from edgellm.telemetry import log

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ContainedProposer:
    """Passes everything on to `inner`. At its first error `inner` is closed, and decoding is plain from there on."""

    def __init__(self, inner: Proposer) -> None:
        self._inner = inner
        self._last = SpeculationStatus()
        """What `inner` came to, once it has failed."""

    def admit(self, sequence: Sequence) -> None:
        self._call(None, self._inner.admit, sequence)

    def propose(self, sequences: list[Sequence], rows: int) -> Mapping[int, list[int]]:
        return self._call({}, self._inner.propose, sequences, rows)

    def meanwhile(self) -> None:
        self._call(None, self._inner.meanwhile)

    def commit(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        self._call(None, self._inner.commit, sequence, drafted, accepted)

    def release(self, sequence: Sequence) -> None:
        self._call(None, self._inner.release, sequence)

    def stepped(self, step: StepRecord) -> None:
        self._call(None, self._inner.stepped, step)

    def tidy(self) -> bool:
        return self._call(False, self._inner.tidy)

    def status(self) -> SpeculationStatus:
        inner = self._inner
        return self._last if isinstance(inner, NoProposer) else inner.status()

    def close(self) -> None:
        self._call(None, self._inner.close)

    def _call(self, otherwise: _T, method: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # a bug of ours: whatever it is, the target's own tokens are as good without
            self._give_up(error)
            return otherwise

    def _give_up(self, error: Exception) -> None:
        place = extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"
        log.get("speculation").error("guessing ahead failed, answers go on without it; please report", reason=why)
        failed, last = self._inner, SpeculationStatus()
        with suppress(Exception):
            last = failed.status()
        self._last = msgspec.structs.replace(last, state="off", speedup=1.0, reason=f"it failed ({why})")
        self._inner = NoProposer()  # only now: another thread may ask for the status
        with suppress(Exception):
            failed.close()
