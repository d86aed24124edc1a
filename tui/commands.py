"""Every command of the chat, once: palette, slash words, keys, footer and help are made from this list."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tui.notices import State


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What decides which commands make sense now."""

    state: State = "idle"
    has_model: bool = False
    has_chat: bool = False
    has_messages: bool = False
    has_answer: bool = False
    can_undo: bool = False
    has_server: bool = False


def _always(situation: Situation) -> bool:
    return True


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is also the app's action (`action_NAME`); `keys` as Textual writes them, the first is shown.

    `slash` without its `/`; `argument` names what may follow it. `footer` is the short word beside the key, if it is
    shown there.
    """

    name: str
    title: str
    help: str
    keys: tuple[str, ...] = ()
    slash: str = ""
    argument: str = ""
    footer: str = ""
    group: str = "Chat"
    when: Callable[[Situation], bool] = _always
