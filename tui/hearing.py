"""Turns what the controller tells into what is seen on the main screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import notices
from tui.notices import Notice

if TYPE_CHECKING:
    from tui.screens.chat import ChatScreen


class Hearing:
    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen

    async def hear(self, notice: Notice) -> None:
        """Notices come one after the other, in their order."""
        screen = self._screen
        match notice:
            case notices.TextAdded() | notices.ReasoningAdded():  # these come with every token
                self._grown(notice)
            case notices.ChatShown(path=path):
                await screen.show_messages(path)
            case notices.EntryAdded(entry=entry):
                await screen.messages.add(entry)
            case notices.EntrySettled(entry=entry):
                screen.messages.settle(entry)
            case notices.MeterChanged(meter=meter):
                screen.header.meter, screen.header.written = meter, 0
                if meter is not None:
                    screen.messages.leave_out(meter.left_out)
            case notices.StateChanged(state=state, detail=detail):
                self._state(state, detail)
            case notices.Warned(message=message):
                screen.notify(message, severity="warning", markup=False)
            case notices.Noted(message=message):
                screen.notify(message, timeout=10, markup=False)
            case _:
                self._grown(notice)

    def _grown(self, notice: Notice) -> None:
        """What belongs to an answer that is being written."""
        entry = getattr(notice, "entry", None)
        answer = self._screen.messages.answer(entry) if isinstance(entry, int) else None
        if answer is None:
            return
        match notice:
            case notices.TextAdded(text=text):
                answer.add(text)
            case notices.ReasoningAdded(text=text):
                answer.think(text)
            case notices.CallChanged(index=index, call=call):
                answer.call(index, call)
            case notices.PromptProgress(done=done, total=total):
                answer.read(done, total)
            case notices.StatsChanged(stats=stats):
                answer.tell(stats)
                self._screen.header.written = stats.tokens
            case _:
                pass

    def _state(self, state: notices.State, detail: str) -> None:
        screen = self._screen
        screen.header.detail = (detail or "loading …") if state == "loading" else ""
        told = "" if screen.messages.tells(detail) else f"✗ {detail}   "
        failed = f"{told}/retry tries again   ^O takes another model"
        screen.show_notice(failed if state == "failed" else "", error=state == "failed")
