"""`Lookout`: which upstreams answer, and with which models; asked beside whoever wants to know, and remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from edgellm.catalog.upstream import Upstream
from edgellm.config import Settings
from edgellm.errors import ConfigError, EdgeLLMError, KeyRefused
from edgellm.model import ModelInfo
from edgellm.remote import listing
from edgellm.remote.flavour import Flavour, info_of, named, shown_as
from edgellm.runtime import upstream_key

FRESH_S = 5.0
"""So long nobody is asked again."""
KEPT_S = 120.0
"""So long an older answer will do while a newer one is on its way."""

State = Literal["answers", "silent", "no key", "key refused", "offline"]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream as it was found: `problem` is a sentence where it does not answer; `ms` is how long it took.

    `models` are those it offers, by the names they have there; where it is silent, those it offered last.
    """

    upstream: Upstream
    state: State
    problem: str = ""
    flavour: Flavour = "other"
    models: tuple[ModelInfo, ...] = ()
    ms: float = 0.0

    @property
    def answers(self) -> bool:
        return self.state == "answers"

    def named(self, model: str) -> ModelInfo | None:
        """What `model` means there; "" is the only one it has."""
        if not model:
            return self.models[0] if len(self.models) == 1 else None
        found = named([{"id": each.name} for each in self.models], model)
        return next(each for each in self.models if each.name == found["id"]) if found is not None else None


Ask = Callable[[str, str, str, float, str], listing.Listing]


class Lookout:
    """Asks each upstream in a thread of its own, which nobody waits for longer than the settings say."""

    def __init__(self, settings: Settings, ask: Ask = listing.ask) -> None:
        self._offline = settings.offline
        self._wait_s = settings.upstream_wait
        self._ask = ask
        self._seen: dict[Upstream, tuple[float, Seen]] = {}
        self._asking: dict[Upstream, threading.Event] = {}
        self._lock = threading.Lock()

    def look(self, upstreams: Iterable[Upstream]) -> tuple[Seen, ...]:
        """All of them, in order. Blocks, but no longer than one may wait; what was seen just now is not asked again."""
        wanted = list(upstreams)
        if not self._wait_s:
            return ()
        end = time.monotonic() + self._wait_s
        asked = [self._begin(each) for each in wanted if self._age(each) > FRESH_S]
        if any(self._age(each) > KEPT_S for each in wanted):
            for done in asked:
                done.wait(max(0.0, end - time.monotonic()))
        return tuple(self._found(each) for each in wanted)

    def _age(self, upstream: Upstream) -> float:
        with self._lock:
            seen = self._seen.get(upstream)
        return time.monotonic() - seen[0] if seen is not None else float("inf")

    def _begin(self, upstream: Upstream) -> threading.Event:
        with self._lock:
            done = self._asking.get(upstream)
            if done is not None:
                return done
            done = self._asking[upstream] = threading.Event()
        threading.Thread(target=self._work, args=(upstream, done), name="upstream", daemon=True).start()
        return done

    def _work(self, upstream: Upstream, done: threading.Event) -> None:
        seen = self._look_at(upstream)
        with self._lock:
            if not seen.answers and (before := self._seen.get(upstream)) is not None:
                seen = msgspec.structs.replace(seen, models=before[1].models, flavour=before[1].flavour)
            self._seen[upstream] = (time.monotonic(), seen)
            self._asking.pop(upstream, None)
        done.set()

    def _found(self, upstream: Upstream) -> Seen:
        """What was seen last, unless that is too old; else that it said nothing in time."""
        with self._lock:
            at, seen = self._seen.get(upstream, (float("-inf"), None))
        if seen is not None and time.monotonic() - at <= KEPT_S:
            return seen
        models = seen.models if seen is not None else _allowed(upstream)
        problem = f"The upstream {upstream.name} has not answered within {self._wait_s:g} s."
        return Seen(upstream=upstream, state="silent", problem=problem, models=models)

    def _look_at(self, upstream: Upstream) -> Seen:
        if problem := offline(upstream, self._offline):
            return Seen(upstream=upstream, state="offline", problem=problem, models=_allowed(upstream))
        called = f"The upstream {upstream.name}"
        try:
            key = upstream_key.key_of(upstream)
            limit_s = max(self._wait_s, upstream.connect_s)
            found = self._ask(upstream.url, key, called, limit_s, upstream_key.advice(upstream))
        except EdgeLLMError as error:
            state: State = "silent"
            if isinstance(error, ConfigError):
                state = "key refused" if isinstance(error, KeyRefused) else "no key"
            problem = str(error)[:1].upper() + str(error)[1:]
            return Seen(upstream=upstream, state=state, problem=problem, models=_allowed(upstream))
        models = [info_of(entry) for entry in found.entries]
        offered = [each for each in models if upstream.offers(each.name) or upstream.offers(shown_as(each.name))]
        return Seen(
            upstream=upstream,
            state="answers",
            flavour=found.flavour,
            models=tuple(offered),
            ms=1000 * found.seconds,
        )


def offline(upstream: Upstream, is_offline: bool) -> str:
    """Why it may not be asked; "" where it may: with the offline setting, none but on this machine itself."""
    if not is_offline or listing.is_here(upstream.url):
        return ""
    return f"The upstream {upstream.name} is another machine, and the offline setting forbids asking it."


def _allowed(upstream: Upstream) -> tuple[ModelInfo, ...]:
    """What is known without asking: the names, but not the patterns, that the catalog allows."""
    plain = [each for each in upstream.models if not set("*?[") & set(each)]
    return tuple(ModelInfo(name=each) for each in plain)
