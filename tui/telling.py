"""Who listens to the chat, and what they were told last of its state."""

from __future__ import annotations

from collections.abc import Callable

from tui import notices
from tui.notices import Notice, State


class Telling:
    """Listeners are called in the order in which they came, at once, with every notice."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Notice], None]] = []
        self._told: tuple[State, str] = ("idle", "")

    def listen(self, listener: Callable[[Notice], None]) -> Callable[[], None]:
        """Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, notice: Notice) -> None:
        for listener in list(self._listeners):
            listener(notice)

    def tell_state(self, now: tuple[State, str]) -> None:
        """If it is another one than was told before."""
        if now != self._told:
            self._told = now
            self.tell(notices.StateChanged(*now))
